"""Segments of several who act."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from mavrl.envs.problem import TabularProblem
from mavrl.simulation.base import Behaviour
from mavrl.simulation.mixture import Mixture, Part, _divided
from mavrl.simulation.tabular import TabularSimulator

STREAMS = [(0, "preference", "round 1"), (7, "preference", "round 1")]
RIGHT, UP, LEFT, DOWN, STAY = range(5)


@pytest.fixture
def problem(make_problem: Callable[..., TabularProblem]) -> TabularProblem:
    return make_problem(size=4)


def always(problem: TabularProblem, action: int) -> TabularSimulator:
    """A simulator in which the same action is taken everywhere."""
    q = torch.zeros(2, *problem.q.shape[1:], dtype=torch.float64)
    q[..., action] = 1.0
    return TabularSimulator(problem, q)


def segments(mixture: Mixture, count: int = 10, streams: Any = STREAMS) -> Any:
    return mixture.segments(streams, Behaviour(0.0), 4, count, 3, 0)


def test_each_acts_in_his_share(problem: TabularProblem) -> None:
    greedy = Behaviour(float("inf"))
    parts = [Part(always(problem, RIGHT), greedy, 0.5), Part(always(problem, DOWN), greedy, 0.3),
             Part(always(problem, STAY), greedy, 0.2)]  # fmt: skip
    found = segments(Mixture(parts, TabularSimulator(problem)))
    actions = found.transitions.action[..., 0]
    for row, names in zip(actions, found.segments.episode, strict=True):
        assert [int((row == action).sum()) for action in (RIGHT, DOWN, STAY)] == [5, 3, 2]
        assert torch.equal(names // 4, torch.tensor([{RIGHT: 0, DOWN: 1, STAY: 2}[int(a)] for a in row]))
    assert not torch.equal(actions[0], actions[1])  # each replicate has an order of its own


def test_a_part_without_a_behaviour_takes_the_one_of_the_kind(problem: TabularProblem) -> None:
    found = segments(Mixture([Part(always(problem, RIGHT), None, 1.0)], TabularSimulator(problem)), count=200)
    assert len(found.transitions.action.unique()) == 5  # rationality 0: all actions


def test_a_replicate_does_not_depend_on_the_others(problem: TabularProblem) -> None:
    parts = [Part(always(problem, RIGHT), Behaviour(0.5), 0.5), Part(always(problem, UP), Behaviour(0.5), 0.5)]
    mixture = Mixture(parts, TabularSimulator(problem))
    both, alone = segments(mixture), segments(mixture.subset([1]), streams=STREAMS[1:])
    assert torch.equal(both.transitions.state[1:], alone.transitions.state)
    assert torch.equal(both.segments.start[1:], alone.segments.start)


def test_demonstrations_are_the_demonstrator_s(problem: TabularProblem) -> None:
    demonstrator = TabularSimulator(problem)
    mixture = Mixture([Part(always(problem, UP), Behaviour(1.0), 1.0)], demonstrator)
    found, expected = (each.episodes(STREAMS, Behaviour(10.0), 2) for each in (mixture, demonstrator))
    assert torch.equal(found.transitions.state, expected.transitions.state)


@pytest.mark.parametrize(
    ("count", "shares", "expected"),
    [(10, [0.5, 0.25, 0.25], [5, 3, 2]), (1, [0.5, 0.5], [1, 0]), (7, [1.0, 0.0], [7, 0]), (0, [1.0], [0])],
)
def test_shares_are_whole_numbers_that_add_up(count: int, shares: list[float], expected: list[int]) -> None:
    assert _divided(count, shares) == expected
    assert sum(_divided(count + 13, list(np.array(shares) * 3))) == count + 13
