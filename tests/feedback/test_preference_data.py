"""Simulated preferences."""

from typing import Any

import pytest
import torch

from mavrl.types import at_steps, segment_mean


def _difference(batch: Any, problem: Any) -> torch.Tensor:
    mean = segment_mean(at_steps(problem.reward[..., None], batch.transitions), batch.transitions.valid)
    return mean[..., 0] - mean[..., 1]


@pytest.mark.parametrize("rationality", [0.0, 1.0, 5.0])
def test_labels_follow_the_teacher(rationality: float, make_source: Any, make_problem: Any, simulate: Any) -> None:
    problem = make_problem()
    batch = simulate(make_source("preference", 3000, teacher_rationality=rationality, n_episodes=600), [0], problem)
    probability = (rationality * _difference(batch, problem)).sigmoid()
    spread = (probability * (1 - probability)).sum().sqrt()
    assert ((batch.first_preferred.double() - probability).sum() / spread).abs() < 4
    weight = _difference(batch, problem)  # the same, where it matters which of the two is better
    spread = (weight.square() * probability * (1 - probability)).sum().sqrt()
    assert ((weight * (batch.first_preferred.double() - probability)).sum() / spread).abs() < 4


def _difference_in_control(batch: Any) -> torch.Tensor:
    """The reward is -1 for the step that ends an episode, and 0 for all others."""
    steps = batch.transitions
    mean = segment_mean(-steps.terminal.double(), steps.valid)
    return mean[..., 0] - mean[..., 1]


@pytest.mark.parametrize("rationality", [0.0, 5.0])
def test_labels_follow_the_teacher_in_a_control_environment(
    rationality: float, make_source: Any, make_control: Any, simulate: Any
) -> None:
    batch = simulate(
        make_source("preference", 2000, teacher_rationality=rationality, n_episodes=200), [0], make_control()
    )
    difference = _difference_in_control(batch)
    assert (difference != 0).sum() > 500
    probability = (rationality * difference).sigmoid()
    excess = batch.first_preferred.double() - probability
    for weight in (torch.ones_like(difference), difference):
        spread = (weight.square() * probability * (1 - probability)).sum().sqrt()
        assert ((weight * excess).sum() / spread).abs() < 4


def test_pairs_of_a_control_environment(make_source: Any, make_control: Any, simulate: Any) -> None:
    batch = simulate(make_source("preference", 60, segment_len=4, teacher_rationality=1e6), [0, 1], make_control())
    assert batch.transitions.state.shape == batch.transitions.next_state.shape == (2, 60, 2, 4, 4)
    assert batch.transitions.state.dtype == torch.float32
    assert not batch.transitions.state[:, :, 0].equal(batch.transitions.state[:, :, 1])
    difference = _difference_in_control(batch)
    clear = difference != 0
    assert clear.any()
    assert batch.first_preferred[clear].equal(difference[clear] > 0)


def test_a_perfect_teacher_prefers_the_better_segment(make_source: Any, make_problem: Any, simulate: Any) -> None:
    problem = make_problem()
    batch = simulate(make_source("preference", 200, teacher_rationality=1e6), [0], problem)
    difference = _difference(batch, problem)
    clear = difference.abs() > 1e-3
    assert clear.any()
    assert batch.first_preferred[clear].equal(difference[clear] > 0)


def test_the_pair_has_two_segments_of_the_wanted_length(make_source: Any, simulate: Any) -> None:
    batch = simulate(make_source("preference", 7, segment_len=4), [0, 1])
    assert batch.transitions.state.shape == (2, 7, 2, 4)
    assert not batch.transitions.state[:, :, 0].equal(batch.transitions.state[:, :, 1])


def test_the_model_may_assume_another_rationality(make_source: Any, simulate: Any) -> None:
    source = make_source("preference", 4, teacher_rationality=5.0, model_rationality=2.0)
    _, teacher = simulate(source, [0], with_teacher=True)
    assert source.likelihood(teacher, 1).rationality == 2.0
