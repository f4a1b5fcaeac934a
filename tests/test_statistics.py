"""Means and standard errors."""

import math

import numpy as np
import pytest
from scipy import stats

from mavrl.statistics import clustered_mean, mean_and_stderr, mean_interval


def test_by_hand() -> None:
    # 1, 2, 3, 6: mean 3, sample variance (4 + 1 + 0 + 9) / 3 = 14/3, standard error sqrt(14/3) / 2 = 1.0801234
    assert mean_and_stderr([1.0, 2.0, 3.0, 6.0]) == (pytest.approx(3), pytest.approx(1.0801234))


def test_scipy() -> None:
    values = np.random.default_rng(0).normal(5, 2, 20)
    expected = values.mean(), stats.sem(values)
    assert mean_and_stderr(values) == pytest.approx(expected, rel=1e-12)
    assert mean_and_stderr(list(values)) == mean_and_stderr(values)


def test_one_value_has_no_error() -> None:
    assert mean_and_stderr([7]) == (7.0, None)


def test_no_value() -> None:
    mean, error = mean_and_stderr([])
    assert math.isnan(mean)
    assert error is None


@pytest.mark.parametrize("value", [4.0, 0.1, -1168.591])
def test_equal_values_have_no_spread(value: float) -> None:
    assert mean_and_stderr([value] * 3) == (pytest.approx(value, rel=1e-15), 0.0)


def test_values_of_one_cluster_count_together() -> None:
    values = np.array([1.0, 2.0, 4.0, 9.0])
    alone = clustered_mean(values, np.arange(4))
    assert alone == (pytest.approx(4.0), pytest.approx(mean_and_stderr(values)[1]))
    twice = clustered_mean(values.repeat(3), np.arange(4).repeat(3))
    assert twice == (pytest.approx(4.0), pytest.approx(alone[1]))  # copies tell nothing new
    assert clustered_mean(values, np.zeros(4)) == (4.0, None)
    assert math.isnan(clustered_mean(values[:0], values[:0])[0])


def test_the_interval_of_a_mean_is_students() -> None:
    low, high = mean_interval(10.0, 2.0, 3) or (0.0, 0.0)
    assert (low, high) == pytest.approx((10 - 4.302653 * 2, 10 + 4.302653 * 2), abs=1e-4)  # t of 2 degrees, two-sided
    assert mean_interval(10.0, None, 1) is None
    assert mean_interval(10.0, 0.0, 5) == (10.0, 10.0)
