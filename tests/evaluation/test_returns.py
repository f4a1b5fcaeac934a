"""Returns of policies under the true reward, in the continuing problem."""

import math
from typing import Any

import numpy as np
import pytest
import torch

from mavrl.envs.grid import GridEnv
from mavrl.envs.layouts import LAYOUTS
from mavrl.envs.problem import TabularProblem
from mavrl.evaluation.returns import ReferenceValues, Scale, policy_of, return_metrics, value_at_start
from mavrl.planning import greedy_policy, uniform_policy

STAY = 4


@pytest.fixture(params=[0.0, 0.2], ids=["deterministic", "random"])
def problem(request) -> TabularProblem:
    return TabularProblem.of_grid(GridEnv("trap", 4, p_rand=request.param), 0.9)


def always(action: int, n_states: int) -> torch.Tensor:
    return torch.eye(5, dtype=torch.float64)[action].expand(1, n_states, 5)


class TestValueAtStart:
    def test_dense_solve(self, problem):
        env = GridEnv("trap", 4, p_rand=0.0 if problem.transitions.deterministic else 0.2)
        policy = torch.rand(2, 16, 5, dtype=torch.float64)
        policy /= policy.sum(-1, keepdim=True)
        for r in range(2):
            moves = np.einsum("sa,sat->st", policy[r].numpy(), env.P)
            expected = np.linalg.solve(np.eye(16) - 0.9 * moves, env.R)[0]
            assert value_at_start(problem, policy)[r].item() == pytest.approx(expected, rel=1e-10)

    def test_staying_at_the_start(self):
        # Cliff: 0 at the start forever. Path: -1 / (1 - 0.9) = -10.
        for layout, expected in (("cliff", 0.0), ("path", -10.0)):
            problem = TabularProblem.of_grid(GridEnv(layout, 5), 0.9)
            assert value_at_start(problem, always(STAY, 25)).item() == pytest.approx(expected)

    def test_first_states_are_averaged(self):
        grid = TabularProblem.of_grid(GridEnv("path", 3), 0.5)  # rewards -1 -1 -1 / 0 0 0 / -1 -1 4
        half = torch.zeros(9, dtype=torch.float64)
        half[[0, 8]] = 0.5
        problem = TabularProblem(grid.transitions, grid.reward, half, grid.terminal_states, 0.5)
        # Staying: -1 / 0.5 = -2 and 4 / 0.5 = 8.
        assert value_at_start(problem, always(STAY, 9)).item() == pytest.approx(3.0)


class TestNormalizedReturn:
    @pytest.mark.parametrize("layout", LAYOUTS)
    def test_optimal_is_100_and_uniform_0(self, layout):
        problem = TabularProblem.of_grid(GridEnv(layout, 5), 0.9)
        reference = ReferenceValues.of_problem(problem)
        optimal = value_at_start(problem, greedy_policy(problem.q))
        scale = Scale.between(reference.optimal, reference.uniform)
        assert scale is not None
        assert scale.normalized(optimal).item() == pytest.approx(100)
        uniform = value_at_start(problem, uniform_policy(problem.transitions))
        assert scale.normalized(uniform).item() == pytest.approx(0, abs=1e-10)
        assert scale.normalized((optimal + 3 * uniform) / 4).item() == pytest.approx(25)
        assert reference.optimal.item() == pytest.approx(problem.q[0, 0].max().item(), abs=1e-5)

    def test_numbers_as_constants(self):
        value = torch.tensor([10.0, 20.0, 40.0], dtype=torch.float64)
        scale = Scale.between(30.0, 10.0)
        assert scale is not None
        assert scale.normalized(value).tolist() == [0, 50, 150]

    def test_each_replicate_has_its_own_scale(self):
        scale = Scale.between(torch.tensor([2.0, 4.0]), torch.zeros(2))
        assert scale is not None
        assert scale.normalized(torch.tensor([1.0, 1.0])).tolist() == [50, 25]

    @pytest.mark.parametrize(
        ("optimal", "uniform"),
        [
            (10.0, 10.0), (0.0, 0.0), (-5.0, 0.0), (math.nan, 0.0),
            (20 * (1 + 1e-13), 20.0),  # by rounding only
            (torch.tensor([2.0, 0.0]), torch.zeros(2)), (torch.tensor([2.0, -1.0]), torch.zeros(1)),
        ],
    )  # fmt: skip
    def test_there_is_none_unless_something_is_better_than_chance(self, optimal: Any, uniform: Any, caplog: Any):
        assert Scale.between(optimal, uniform) is None
        (record,) = caplog.records
        assert "normalized returns are left out" in record.getMessage()

    @pytest.mark.parametrize(("optimal", "uniform"), [(1e-6, 0.0), (1e-9, -1e-9), (1e9 + 10, 1e9), (-80.0, -500.0)])
    def test_a_small_difference_is_one_in_any_unit(self, optimal: float, uniform: float):
        assert Scale.between(optimal, uniform) is not None

    def test_where_every_policy_is_as_good(self):
        grid = TabularProblem.of_grid(GridEnv("sparse", 3), 0.9)
        problem = TabularProblem(
            grid.transitions, torch.zeros_like(grid.reward), grid.initial_distribution, grid.terminal_states, 0.9
        )
        metrics = return_metrics(problem, torch.randn(3, 9, dtype=torch.float64))
        assert metrics.keys() == {"regret", "discounted_value"}
        assert metrics["regret"].tolist() == [0, 0, 0]


class TestReturnMetrics:
    def test_true_reward(self, problem):
        metrics = return_metrics(problem, problem.reward)
        assert metrics["normalized_return"].item() == pytest.approx(100)
        assert metrics["regret"].item() == pytest.approx(0, abs=1e-9)
        assert metrics["discounted_value"].item() == pytest.approx(problem.q[0, 0].max().item(), abs=1e-5)

    def test_scale_and_shift_lead_to_the_same_policy(self, problem):
        for reward in (3 * problem.reward, problem.reward + 5, 0.1 * problem.reward - 2):
            assert return_metrics(problem, reward)["regret"].item() == pytest.approx(0, abs=1e-9)

    def test_regret_is_what_the_return_lacks(self, problem):
        reward = torch.randn(6, 16)  # float32, as a model gives it
        metrics = return_metrics(problem, reward)
        reference = ReferenceValues.of_problem(problem)
        torch.testing.assert_close(metrics["regret"], reference.optimal - metrics["discounted_value"])
        assert (metrics["regret"] >= -1e-9).all()
        lack = 100 - metrics["normalized_return"]
        torch.testing.assert_close(lack, 100 * metrics["regret"] / (reference.optimal - reference.uniform))
        expected = value_at_start(problem, policy_of(problem, reward))
        torch.testing.assert_close(metrics["discounted_value"], expected)

    def test_the_opposite_reward_is_worse_than_chance(self):
        problem = TabularProblem.of_grid(GridEnv("cliff", 5), 0.9)
        assert return_metrics(problem, -problem.reward)["normalized_return"].item() < 0

    def test_by_hand(self):
        """A reward that is constant but for the start: the policy stays there and earns -0.1 forever."""
        problem = TabularProblem.of_grid(GridEnv("sparse", 3), 0.5)
        reward = torch.zeros(1, 9)
        reward[0, 0] = 1
        metrics = return_metrics(problem, reward)
        assert metrics["discounted_value"].item() == pytest.approx(-0.2)
        # Optimal: 4 moves at -0.1, then 1 forever: -0.1 * (1 - 1/16) / 0.5 + 2 / 16 = -0.0625.
        assert metrics["regret"].item() == pytest.approx(-0.0625 + 0.2)

    def test_one_by_one(self, problem):
        reward = torch.randn(4, 16, dtype=torch.float64)
        together = return_metrics(problem, reward)
        for r in range(4):
            for name, values in return_metrics(problem, reward[r : r + 1]).items():
                torch.testing.assert_close(values, together[name][r : r + 1])
