"""Interquartile means and their intervals, against values that are known."""

import numpy as np
import pytest

from mavrl.reports.aggregate import interquartile_mean


def test_the_outer_quarters_do_not_count() -> None:
    mean, (low, high) = interquartile_mean([[-1000, 1, 2, 3], [3, 4, 5, 1000]])
    assert mean == pytest.approx((2 + 3 + 3 + 4) / 4)
    assert low <= mean <= high


def test_outliers_move_neither_mean_nor_interval() -> None:
    mean, (low, high) = interquartile_mean([[1.0, 2.0] * 42 + [1e6] * 16])
    assert 1 < low < mean < high < 2


def test_cells_are_resampled_apart() -> None:
    """Without variation inside the cells there is no uncertainty, however different they are."""
    _, (low, high) = interquartile_mean([[0.0] * 20, [10.0] * 20])
    assert low == high == 5.0
    _, (low, high) = interquartile_mean([[0.0, 1.0] * 10, [10.0] * 20])
    assert low < high


def test_the_interval_of_one_large_cell_is_that_of_normal_theory() -> None:
    """The variance of the 25 % trimmed mean of normal scores is 1.195 / n."""
    scores = np.random.default_rng(0).normal(50, 2, 400)
    mean, (low, high) = interquartile_mean([list(scores)])
    half = 1.96 * 2 * np.sqrt(1.195 / 400)
    assert mean == pytest.approx(50, abs=0.3)
    assert (high - low) / 2 == pytest.approx(half, rel=0.2)
