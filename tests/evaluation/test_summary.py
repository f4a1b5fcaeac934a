"""Means and standard errors over replicates."""

import math

import pytest
import torch
from scipy import stats

from mavrl.evaluation.summary import mean_and_stderr, to_numbers


def test_by_hand():
    # 1, 2, 3, 6: mean 3, sample variance (4 + 1 + 0 + 9) / 3 = 14/3, standard error sqrt(14/3) / 2 = 1.0801234
    mean, stderr = mean_and_stderr(torch.tensor([1.0, 2.0, 3.0, 6.0]), torch.ones(4, dtype=torch.bool))
    assert mean == pytest.approx(3)
    assert stderr == pytest.approx(1.0801234)


def test_scipy():
    values = torch.randn(20, dtype=torch.float64)
    mean, stderr = mean_and_stderr(values, torch.ones(20, dtype=torch.bool))
    assert mean == pytest.approx(values.mean().item())
    assert stderr == pytest.approx(stats.sem(values.numpy()))


def test_only_the_kept_count():
    values = torch.tensor([1.0, float("nan"), 3.0, 100.0])
    assert mean_and_stderr(values, torch.tensor([True, False, True, False])) == (2.0, pytest.approx(1.0))


def test_one_replicate_has_no_error():
    assert mean_and_stderr(torch.tensor([5.0, 7.0]), torch.tensor([False, True])) == (7.0, None)


def test_none_kept():
    mean, stderr = mean_and_stderr(torch.tensor([5.0]), torch.tensor([False]))
    assert math.isnan(mean)
    assert stderr is None


def test_equal_values_have_no_spread():
    assert mean_and_stderr(torch.full((3,), 4.0), torch.ones(3, dtype=torch.bool)) == (4.0, 0.0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_to_numbers(dtype):
    numbers = to_numbers(torch.tensor([0.5, -2.0], dtype=dtype))
    assert numbers == [0.5, -2.0]
    assert all(type(number) is float for number in numbers)
