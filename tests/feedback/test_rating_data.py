"""Simulated ratings."""

from typing import Any

import numpy as np
import pytest
import torch

from mavrl.feedback.data import CALIBRATION_SEGMENTS
from mavrl.simulation.tabular import TabularSimulator
from mavrl.types import Transitions, at_steps, segment_mean


def _teacher(source: Any, simulator: Any, reward_of: Any, seed: int) -> np.ndarray:
    """The teacher's cutpoints: quantiles of the mean rewards of the segments that it is calibrated on."""
    pool = source.segments(simulator, [(seed, "rating", "train")], CALIBRATION_SEGMENTS, 1).transitions
    mean = segment_mean(reward_of(pool), pool.valid)[0].numpy()
    k = source.n_categories
    return np.quantile(mean, np.arange(1, k) / k)


def _assert_cumulative_logit(rating: np.ndarray, mean: np.ndarray, cutpoints: np.ndarray) -> None:
    for k, theta in enumerate(cutpoints):
        below = 1 / (1 + np.exp(mean - theta))
        z = ((rating <= k) - below).sum() / np.sqrt((below * (1 - below)).sum())
        assert abs(z) < 4


@pytest.mark.parametrize("n_categories", [2, 5])
def test_labels_follow_the_cumulative_logit(
    n_categories: int, make_source: Any, make_problem: Any, simulate: Any
) -> None:
    problem = make_problem()
    source = make_source("rating", 4000, n_categories=n_categories, n_episodes=400)
    batch = simulate(source, [3], problem)
    mean = segment_mean(at_steps(problem.reward[..., None], batch.transitions), batch.transitions.valid)[0].numpy()
    rating = batch.rating[0].numpy()
    assert set(rating) == set(range(n_categories))
    table = problem.reward[..., None]
    cutpoints = _teacher(source, TabularSimulator(problem), lambda steps: at_steps(table, steps), 3)
    _assert_cumulative_logit(rating, mean, cutpoints)


@pytest.mark.parametrize("n_categories", [2, 5])
def test_labels_follow_the_cumulative_logit_in_a_control_environment(
    n_categories: int, make_source: Any, make_control: Any, simulate: Any
) -> None:
    def reward_of(steps: Transitions) -> torch.Tensor:  # -1 for the step that ends an episode
        return -steps.terminal.double()

    world = make_control()
    source = make_source("rating", 3000, n_categories=n_categories, segment_len=12, n_episodes=200)
    batch = simulate(source, [3], world)
    steps = batch.transitions
    assert steps.state.shape == (1, 3000, 12, 4)
    mean = segment_mean(reward_of(steps), steps.valid)[0].numpy()
    assert len(np.unique(mean)) > 5
    _assert_cumulative_logit(batch.rating[0].numpy(), mean, _teacher(source, world, reward_of, 3))


def test_better_segments_get_better_ratings(make_source: Any, make_problem: Any, simulate: Any) -> None:
    problem = make_problem()
    batch = simulate(make_source("rating", 2000, n_episodes=400), [0], problem)
    mean = segment_mean(at_steps(problem.reward[..., None], batch.transitions), batch.transitions.valid)
    assert np.corrcoef(mean[0].numpy(), batch.rating[0].numpy())[0, 1] > 0.2


def test_the_model_starts_without_an_opinion(make_source: Any, simulate: Any) -> None:
    batch = simulate(make_source("rating", 6), [0, 1])
    likelihood = make_source("rating", 6).likelihood({}, 2)
    with torch.no_grad():
        log_prob = likelihood.log_prob(torch.zeros(batch.transitions.state.shape), batch)
    assert torch.allclose(log_prob.exp(), torch.full((2, 6), 0.2), atol=1e-6)


def test_the_teacher_does_not_depend_on_how_many_segments_are_rated(make_source: Any, make_problem: Any) -> None:
    problem = make_problem("dense")  # many different mean rewards, so that every other calibration shows
    few, many = (
        make_source("rating", 1000, n, n_episodes=400).simulate(
            TabularSimulator(problem), [(seed, "rating", "train") for seed in range(5)]
        )
        for n in (0, 6000)
    )
    assert np.array_equal(few["rating"], many["rating"][:, :1000])
