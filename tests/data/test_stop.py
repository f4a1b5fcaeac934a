"""Simulated stops."""

from typing import Any

import numpy as np
import torch

from mavrl.data.base import CALIBRATION_SEGMENTS
from mavrl.types import Transitions


def _largest_regret(problem: Any, steps: Transitions, discount: float) -> np.ndarray:
    regret = (problem.q.amax(-1, keepdim=True) - problem.q)[0].numpy()
    found = []
    for state, action, valid in zip(steps.state[0], steps.action[0], steps.valid[0], strict=True):
        total, largest = 0.0, 0.0
        for s, a in zip(state[valid].tolist(), action[valid].tolist(), strict=True):
            total = discount * total + regret[s, a]
            largest = max(largest, total)
        found.append(largest)
    return np.array(found)


def test_the_rate_is_scale_over_the_percentile(make_source: Any, make_problem: Any, simulate: Any) -> None:
    problem = make_problem()
    for percentile, scale in ((50.0, 2.0), (90.0, 1.0)):
        source = make_source("stop", 4, discount=0.3, percentile=percentile, scale=scale)
        _, teacher = simulate(source, [7], problem, with_teacher=True)
        pool = source.segments(problem, [(7, "train")], CALIBRATION_SEGMENTS, 1)
        expected = scale / np.percentile(_largest_regret(problem, pool, 0.3), percentile)
        assert np.isclose(teacher["rate"].item(), expected, rtol=1e-5)


def test_without_regret_the_rate_is_the_scale(make_source: Any, make_problem: Any, simulate: Any) -> None:
    problem = make_problem()
    source = make_source("stop", 4, behaviour_rationality=1e6, scale=3.0)
    _, teacher = simulate(source, [7], problem, with_teacher=True)
    assert teacher["rate"].item() == 3.0


def test_stops_follow_the_hazard(make_source: Any, make_problem: Any, simulate: Any) -> None:
    problem = make_problem()
    source = make_source("stop", 3000, n_episodes=400)
    batch, teacher = simulate(source, [1], problem, with_teacher=True)
    regret = (problem.q.amax(-1, keepdim=True) - problem.q)[0].numpy()
    rate, steps = teacher["rate"].item(), batch.transitions
    expected, variance, stopped = np.zeros(5), np.zeros(5), np.zeros(5)
    for n in range(3000):
        end, total, survival = int(batch.stop_step[0, n]), 0.0, 1.0
        valid = steps.valid[0, n]
        assert end == 5 or valid[end]
        for t in range(int(valid.sum())):
            total = source.discount * total + regret[int(steps.state[0, n, t]), int(steps.action[0, n, t])]
            hazard = 1 - np.exp(-rate * total)
            expected[t] += survival * hazard
            variance[t] += survival * hazard * (1 - survival * hazard)
            survival *= 1 - hazard
        if end < 5:
            stopped[end] += 1
    assert stopped.sum() > 500
    assert (abs(stopped - expected) / np.sqrt(variance) < 4).all()


def test_the_model_is_told_the_rate_for_each_of_its_members(make_source: Any, simulate: Any) -> None:
    source = make_source("stop", 4, lapse=1e-3)
    _, teacher = simulate(source, [0, 1], with_teacher=True)
    likelihood = source.likelihood(teacher, 4)
    assert likelihood.rate.equal(teacher["rate"].float()[torch.tensor([0, 0, 1, 1])])
    assert likelihood.lapse == 1e-3
    assert likelihood.discount == source.discount
