"""Simulated stops."""

from typing import Any

import numpy as np
import pytest
import torch

from mavrl.feedback.loaders import CALIBRATION_SEGMENTS
from mavrl.simulation.tabular import TabularSimulator
from mavrl.types import Transitions


def _regret(problem: Any, steps: Transitions) -> np.ndarray:
    """Regret of each step of the first replicate on the grid, shape (N, T)."""
    regret = (problem.q.amax(-1, keepdim=True) - problem.q)[0].numpy()
    return regret[steps.state[0].numpy(), steps.action[0].numpy()]


def _control_regret(steps: Transitions) -> np.ndarray:
    """The same where Q is +-3 (angle + 0.5 angular velocity) for the two pushes: the wrong one costs twice as much."""
    state = steps.state[0].double().numpy()
    lean = state[..., 2] + 0.5 * state[..., 3]
    return np.where((lean > 0) == (steps.action[0].numpy() == 1), 0.0, 6 * abs(lean))


def _largest_regret(regret: np.ndarray, steps: Transitions, discount: float) -> np.ndarray:
    found = []
    for values, valid in zip(regret, steps.valid[0].numpy(), strict=True):
        total, largest = 0.0, 0.0
        for value in values[valid]:
            total = discount * total + value
            largest = max(largest, total)
        found.append(largest)
    return np.array(found)


def _assert_hazard(batch: Any, regret: np.ndarray, rate: float, discount: float) -> None:
    """Stops at each step, against the hazards of all segments, within 4 standard errors."""
    steps = batch.transitions
    n_segments, length = regret.shape
    expected, variance, stopped = np.zeros(length), np.zeros(length), np.zeros(length)
    for n in range(n_segments):
        end, total, survival = int(batch.stop_step[0, n]), 0.0, 1.0
        valid = steps.valid[0, n]
        assert end == length or valid[end]
        for t in range(int(valid.sum())):
            total = discount * total + regret[n, t]
            hazard = 1 - np.exp(-rate * total)
            expected[t] += survival * hazard
            variance[t] += survival * hazard * (1 - survival * hazard)
            survival *= 1 - hazard
        if end < length:
            stopped[end] += 1
    assert stopped.sum() > 500
    assert (abs(stopped - expected) / np.sqrt(variance) < 4).all()


def test_the_rate_is_scale_over_the_percentile(make_source: Any, make_problem: Any, simulate: Any) -> None:
    problem = make_problem()
    for percentile, scale in ((50.0, 2.0), (90.0, 1.0)):
        source = make_source("stop", 4, discount=0.3, percentile=percentile, scale=scale)
        _, teacher = simulate(source, [7], problem, with_teacher=True)
        simulator = TabularSimulator(problem)
        pool = source.segments(simulator, [(7, "stop", "train")], CALIBRATION_SEGMENTS, 1).transitions
        expected = scale / np.percentile(_largest_regret(_regret(problem, pool), pool, 0.3), percentile)
        assert np.isclose(teacher["rate"].item(), expected, rtol=1e-5)


@pytest.mark.parametrize(("percentile", "scale"), [(50.0, 2.0), (90.0, 1.0)])
def test_the_rate_is_scale_over_the_percentile_in_a_control_environment(
    percentile: float, scale: float, make_source: Any, make_control: Any, simulate: Any
) -> None:
    world = make_control()
    source = make_source("stop", 4, discount=0.3, percentile=percentile, scale=scale)
    _, teacher = simulate(source, [7], world, with_teacher=True)
    pool = source.segments(world, [(7, "stop", "train")], CALIBRATION_SEGMENTS, 1).transitions
    expected = scale / np.percentile(_largest_regret(_control_regret(pool), pool, 0.3), percentile)
    assert np.isclose(teacher["rate"].item(), expected, rtol=1e-6)


def test_without_regret_the_rate_is_the_scale(make_source: Any, make_problem: Any, simulate: Any) -> None:
    problem = make_problem()
    source = make_source("stop", 4, behaviour_rationality=1e6, scale=3.0)
    _, teacher = simulate(source, [7], problem, with_teacher=True)
    assert teacher["rate"].item() == 3.0


def test_stops_follow_the_hazard(make_source: Any, make_problem: Any, simulate: Any) -> None:
    problem = make_problem()
    source = make_source("stop", 3000, n_episodes=400)
    batch, teacher = simulate(source, [1], problem, with_teacher=True)
    _assert_hazard(batch, _regret(problem, batch.transitions), teacher["rate"].item(), source.discount)


def test_stops_follow_the_hazard_in_a_control_environment(make_source: Any, make_control: Any, simulate: Any) -> None:
    source = make_source("stop", 2000, n_episodes=200)
    batch, teacher = simulate(source, [1], make_control(), with_teacher=True)
    assert batch.transitions.state.shape == (1, 2000, 5, 4)
    _assert_hazard(batch, _control_regret(batch.transitions), teacher["rate"].item(), source.discount)


def test_a_flawless_control_policy_has_no_regret(make_source: Any, make_control: Any, simulate: Any) -> None:
    source = make_source("stop", 4, behaviour_rationality=1e15, scale=3.0)
    batch, teacher = simulate(source, [7], make_control(), with_teacher=True)
    assert teacher["rate"].item() == 3.0
    assert (batch.stop_step == 5).all()


def test_the_model_is_told_the_rate_for_each_of_its_members(make_source: Any, simulate: Any) -> None:
    source = make_source("stop", 4, lapse=1e-3)
    _, teacher = simulate(source, [0, 1], with_teacher=True)
    likelihood = source.likelihood(teacher, 4)
    assert likelihood.rate.equal(teacher["rate"].float()[torch.tensor([0, 0, 1, 1])])
    assert likelihood.lapse == 1e-3
    assert likelihood.discount == source.discount
