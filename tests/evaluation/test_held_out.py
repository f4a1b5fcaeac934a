"""What held-out labels say, against numbers worked out by hand."""

import math

import numpy as np
import pytest
import torch

from mavrl.evaluation.held_out import (
    constant_hazard,
    constant_hazard_by,
    expected_calibration_error,
    is_better,
    log_frequencies,
    log_frequencies_by,
    log_mean_exp,
    log_prob_of_stop,
    rank_correlation,
    ranks_within,
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
    assert log_prob_of_stop(hazard[:, None], step, length)[0].tolist() == pytest.approx(expected)


def test_probabilities_of_stops_sum_to_one() -> None:
    hazard, step = torch.tensor([[0.3]], dtype=torch.float64), torch.arange(5)[None]
    assert log_prob_of_stop(hazard, step, torch.full((1, 5), 4)).exp().sum().item() == pytest.approx(1)


def test_who_gave_many_answers_has_frequencies_of_their_own() -> None:
    """Everybody: (3.5, 1.5) of 5. To each annotator's labels two are added, divided like everybody's."""
    answer, who = torch.tensor([[0, 0, 0, 1]]), torch.tensor([[0, 0, 1, 1]])
    everywhere = torch.ones(1, 4, dtype=torch.bool)
    found = log_frequencies_by(answer, everywhere, 2, who, 3).exp()[0]
    assert found.numpy() == pytest.approx(np.array([[3.4 / 4, 0.6 / 4], [2.4 / 4, 1.6 / 4], [0.7, 0.3]]))
    assert log_frequencies_by(answer, everywhere, 2, who * 0, 1)[:, 0].equal(log_frequencies(answer, everywhere, 2))


def test_who_stops_often_has_a_hazard_of_their_own() -> None:
    """One annotator stops in each of 2 segments at once, another in none of 2 with 3 steps: 2.5 in 9 for everybody."""
    step, length, who = torch.tensor([[0, 0, 3, 3]]), torch.full((1, 4), 3), torch.tensor([[0, 0, 1, 1]])
    everywhere = torch.ones(1, 4, dtype=torch.bool)
    found = constant_hazard_by(step, length, everywhere, who, 2)[0].tolist()
    assert found == pytest.approx([3 / (2 + 9 / 2.5), 1 / (6 + 9 / 2.5)])


def test_ratings_on_different_scales_are_compared_by_their_ranks() -> None:
    ranks = ranks_within(np.array([1.0, 5, 10, 20, 20]), np.array([0, 0, 1, 1, 1]))
    assert ranks.tolist() == pytest.approx([0.25, 0.75, 0.5 / 3, 2 / 3, 2 / 3])


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
        "frequency": np.log([0.5, 0.5, 0.5, 0.2]),
        "uniform": np.log([1 / 3] * 4),
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


def test_what_misleads_is_not_what_a_model_is_judged_by() -> None:
    """Answers that depend on the episode: those of the others are worse than to say that all are as probable."""
    columns = {
        "log_likelihood": np.full(6, -1.7) + np.array([0.1, -0.1] * 3),
        "frequency": np.full(6, -3.0),
        "uniform": np.full(6, -np.log(3)),
    }
    found = summarize_kind(columns, np.arange(6), np.arange(6) % 2)
    assert found["mean"]["constant"] == pytest.approx(-np.log(3))
    assert found["mean"]["gain"] == pytest.approx(-1.7 + np.log(3))
    assert not found["better"]


def test_what_nobody_can_say_is_left_out() -> None:
    columns = {name: np.zeros(2) for name in ("log_likelihood", "frequency", "uniform", "first", "chosen", "decided")}
    found = summarize_kind(columns, np.zeros(2), np.zeros(2))
    assert set(found["mean"]) == {"log_likelihood", "constant", "gain"}
    assert found["stderr"] == {}
    assert not found["better"]
    assert "reliability" not in found
