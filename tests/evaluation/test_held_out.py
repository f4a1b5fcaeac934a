"""What held-out labels say, against numbers worked out by hand."""

import math

import numpy as np
import pytest
import torch

from mavrl.evaluation.held_out import (
    constant_hazard,
    expected_calibration_error,
    is_better,
    log_frequencies,
    log_mean_exp,
    log_prob_of_stop,
    rank_correlation,
    reliability,
    summarize_kind,
)


def test_the_predictive_probability_is_the_mean_probability() -> None:
    log_probs = torch.randn(2, 7, 3, dtype=torch.float64)
    expected = [[math.log(sum(math.exp(x) for x in log_probs[r, :, b]) / 7) for b in range(3)] for r in range(2)]
    assert log_mean_exp(log_probs).numpy() == pytest.approx(np.array(expected))
    assert log_mean_exp(torch.full((1, 4, 1), -1000.0)).item() == pytest.approx(-1000.0)


def test_frequencies_are_those_of_training_and_half_a_time_more() -> None:
    answer = torch.tensor([[0, 0, 2, 1], [1, 1, 1, 2]])
    valid = torch.tensor([[True, True, True, False], [True, True, False, False]])
    expected = np.array([[2.5 / 4.5, 0.5 / 4.5, 1.5 / 4.5], [0.5 / 3.5, 2.5 / 3.5, 0.5 / 3.5]])
    assert log_frequencies(answer, valid, 3).exp().numpy() == pytest.approx(expected)


def test_a_constant_hazard_is_stops_by_watched_steps() -> None:
    """Stops at steps 1 and 0, and 3 steps without one: 2 stops in 2 + 1 + 3 steps."""
    step, length = torch.tensor([[1, 0, 3, 0]]), torch.tensor([[3, 3, 3, 3]])
    hazard = constant_hazard(step, length, torch.tensor([[True, True, True, False]]))
    assert hazard.item() == pytest.approx(2.5 / 7)
    h = 2.5 / 7
    expected = [math.log(h * (1 - h)), math.log(h), 3 * math.log(1 - h), math.log(h)]
    assert log_prob_of_stop(hazard, step, length)[0].tolist() == pytest.approx(expected)


def test_probabilities_of_stops_sum_to_one() -> None:
    hazard, step = torch.tensor([0.3], dtype=torch.float64), torch.arange(5)[None]
    assert log_prob_of_stop(hazard, step, torch.full((1, 5), 4)).exp().sum().item() == pytest.approx(1)


def test_reliability_and_its_error() -> None:
    predicted, observed = np.array([0.05, 0.07, 0.95, 1.0]), np.array([0.0, 1.0, 1.0, 1.0])
    rows = reliability(predicted, observed)
    assert [(row["low"], row["high"], row["count"]) for row in rows] == [(0.0, 0.1, 2), (0.9, 1.0, 2)]
    assert rows[0]["predicted"] == pytest.approx(0.06)
    assert rows[0]["observed"] == 0.5
    assert expected_calibration_error(rows) == pytest.approx((2 * 0.44 + 2 * 0.025) / 4)


def test_ranks_are_compared_within_folds() -> None:
    """Each fold orders its own segments right, in a unit of its own."""
    fold = np.array([0, 0, 0, 1, 1, 1, 2, 2])
    predicted, given = np.array([1.0, 2, 3, 101, 102, 103, 0, 0]), np.array([3.0, 4, 5, 0, 1, 2, 1, 2])
    assert rank_correlation(predicted, given, fold) == (pytest.approx(1.0), pytest.approx(0.0))
    assert math.isnan(rank_correlation(predicted[6:], given[6:], fold[6:])[0])


def test_better_is_by_more_than_two_standard_errors() -> None:
    assert is_better(0.21, 0.1)
    assert not is_better(0.19, 0.1)
    assert not is_better(5.0, None)


def test_what_is_said_of_preferences() -> None:
    columns = {
        "log_likelihood": np.log([0.8, 0.6, 0.5, 0.3]),
        "constant": np.log([0.5, 0.5, 0.5, 0.2]),
        "first": np.array([0.8, 0.4, 0.5, 0.7]),
        "chosen": np.array([1.0, 0.0, 0.0, 0.0]),
        "decided": np.array([1.0, 1.0, 1.0, 0.0]),  # the last is a tie
    }
    found = summarize_kind(columns, np.array([3, 3, 8, 9]), np.array([0, 0, 1, 1]))
    assert (found["labels"], found["episodes"]) == (4, 3)
    assert found["mean"]["gain"] == pytest.approx(np.log([1.6, 1.2, 1.0, 1.5]).mean())
    assert found["mean"]["accuracy"] == pytest.approx(2.5 / 3)
    assert sum(row["count"] for row in found["reliability"]) == 3
    assert "calibration_error" not in found["stderr"]


def test_what_nobody_can_say_is_left_out() -> None:
    columns = {name: np.zeros(2) for name in ("log_likelihood", "constant", "first", "chosen", "decided")}
    found = summarize_kind(columns, np.zeros(2), np.zeros(2))
    assert set(found["mean"]) == {"log_likelihood", "constant", "gain"}
    assert found["stderr"] == {}
    assert not found["better"]
    assert "reliability" not in found
