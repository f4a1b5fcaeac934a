"""Differences of segments and of policies: their weights by hand and by planning, their coverage where it is known."""

import pytest
import torch

from mavrl.envs import GridEnv
from mavrl.envs.problem import TabularProblem
from mavrl.evaluation.differences import (
    all_pairs,
    coverages,
    occupancies,
    optimal_actions,
    segment_differences,
)
from mavrl.planning import optimal_action_values, policy_values
from mavrl.types import Transitions

LEVEL = torch.tensor([0.9])


@pytest.mark.parametrize("p_rand", [0.0, 0.3])
def test_occupancies_weigh_rewards_to_values(p_rand: float) -> None:
    problem = TabularProblem.of_grid(GridEnv("cliff", 4, p_rand), 0.9)
    reward = torch.randn(2, 3, 16, dtype=torch.float64)
    actions = optimal_actions(problem, reward)
    visits = occupancies(problem, actions)
    torch.testing.assert_close(visits.sum(-1), torch.full((2, 3), 10.0, dtype=torch.float64))
    rows = reward.flatten(0, 1)
    optimal = optimal_action_values(problem.transitions, rows[..., None], 0.9).amax(-1) @ problem.initial_distribution
    torch.testing.assert_close((visits * reward).sum(-1).flatten(), optimal, atol=1e-4, rtol=1e-4)
    other = torch.randn(6, 16, dtype=torch.float64)
    policy = torch.nn.functional.one_hot(actions.flatten(0, 1), problem.transitions.n_actions).double()
    values = policy_values(problem.transitions, other[..., None], policy, 0.9) @ problem.initial_distribution
    torch.testing.assert_close((visits.flatten(0, 1) * other).sum(-1), values, atol=1e-6, rtol=1e-6)


def test_segments_by_hand() -> None:
    state = torch.tensor([[[[0, 0, 1], [2, 1, 0]]]])
    valid = torch.tensor([[[[True, True, True], [True, True, False]]]])
    none = torch.zeros_like(state)
    weights = segment_differences(Transitions(state, none, none, none, none.bool(), valid), 3)
    torch.testing.assert_close(weights, torch.tensor([[[2 / 3, 1 / 3 - 1 / 2, -1 / 2]]], dtype=torch.float64))


def test_pairs() -> None:
    weights = torch.tensor([[[1.0], [3.0], [7.0]]]).double()
    assert all_pairs(weights).flatten().tolist() == [-2, -6, -4]


def test_a_joint_posterior_covers_as_often_as_it_says_and_one_of_independent_states_does_not() -> None:
    # States are nearly equal, and known to be: their differences are small, and only joint draws tell it.
    n = 400
    common, own = torch.randn(n, 1).double(), 0.1 * torch.randn(n, 5).double()
    truth = common + own
    joint = torch.randn(n, 300, 1).double() + 0.1 * torch.randn(n, 300, 5).double()
    alone = 1.005 * torch.randn(n, 300, 5).double()
    weights = all_pairs(torch.eye(5).double()[None]).expand(n, -1, -1)
    assert abs(coverages(weights, joint, truth, LEVEL).mean() - 0.9) < 0.03
    assert coverages(weights, alone, truth, LEVEL).mean() == 1


def test_what_is_no_difference_does_not_count() -> None:
    weights = torch.tensor([[[1.0, -1.0], [0.0, 0.0]], [[0.0, 0.0], [0.0, 0.0]]]).double()
    draws = torch.zeros(2, 50, 2)
    assert coverages(weights, draws, torch.tensor([[1.0, 0.0]]), LEVEL).tolist() == [[0], [1]]


def test_a_constant_reward_changes_nothing() -> None:
    problem = TabularProblem.of_grid(GridEnv("trap", 3), 0.9)
    weights = all_pairs(occupancies(problem, torch.randint(problem.transitions.n_actions, (1, 4, 9))))
    torch.testing.assert_close(weights.sum(-1), torch.zeros(1, 6, dtype=torch.float64))
