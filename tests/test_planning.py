"""Planning against dense linear algebra in NumPy, enumeration of policies, and published constants."""

import itertools
import time

import numpy as np
import pytest
import torch

from mavrl.envs.grid import GridEnv, transition_model
from mavrl.envs.problem import TabularProblem
from mavrl.evaluation.returns import ReferenceValues
from mavrl.planning import (
    TransitionModel,
    action_values,
    evaluate_actions,
    greedy_policy,
    optimal_action_values,
    plan,
    policy_values,
    uniform_policy,
    value_iteration,
)


def random_process(n_states: int, n_actions: int, n_outcomes: int, seed: int) -> tuple[TransitionModel, np.ndarray]:
    """A random process, and the same as a dense array P[s, a, s']; outcomes may repeat a state."""
    rng = np.random.default_rng(seed)
    successors = rng.integers(n_states, size=(n_states, n_actions, n_outcomes))
    probabilities = rng.dirichlet(np.ones(n_outcomes), size=(n_states, n_actions))
    dense = np.zeros((n_states, n_actions, n_states))
    for s, a, k in itertools.product(range(n_states), range(n_actions), range(n_outcomes)):
        dense[s, a, successors[s, a, k]] += probabilities[s, a, k]
    return TransitionModel(torch.from_numpy(successors), torch.from_numpy(probabilities)), dense


def dense_values(dense: np.ndarray, reward: np.ndarray, policy: np.ndarray, gamma: float) -> np.ndarray:
    """V = (I - gamma P_pi)^-1 r_pi for one policy; reward has shape (S, A)."""
    moves = np.einsum("sa,sat->st", policy, dense)
    return np.linalg.solve(np.eye(len(moves)) - gamma * moves, (policy * reward).sum(-1))


def best_of_all_policies(dense: np.ndarray, reward: np.ndarray, gamma: float) -> np.ndarray:
    """Largest value of each state over all deterministic policies."""
    n_states, n_actions, _ = dense.shape
    values = [
        dense_values(dense, reward, np.eye(n_actions)[list(actions)], gamma)
        for actions in itertools.product(range(n_actions), repeat=n_states)
    ]
    return np.max(values, axis=0)


def random_rewards(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


class TestTransitionModel:
    def test_refuses_probabilities_that_do_not_sum_to_one(self):
        with pytest.raises(ValueError, match="sum to one"):
            TransitionModel(torch.zeros(2, 1, 2, dtype=torch.int64), torch.full((2, 1, 2), 0.4))

    def test_refuses_negative_probabilities(self):
        with pytest.raises(ValueError, match="sum to one"):
            TransitionModel(torch.zeros(1, 1, 2, dtype=torch.int64), torch.tensor([[[1.5, -0.5]]]))

    def test_sizes(self):
        model, _ = random_process(4, 3, 2, seed=0)
        assert (model.n_states, model.n_actions, model.deterministic) == (4, 3, False)
        assert random_process(4, 3, 1, seed=0)[0].deterministic

    @pytest.mark.parametrize("n_outcomes", [1, 2, 5])
    def test_expected_next_is_the_dense_product(self, n_outcomes):
        model, dense = random_process(6, 3, n_outcomes, seed=1)
        value = random_rewards(4, 6)
        expected = np.einsum("sat,rt->rsa", dense, value.numpy())
        np.testing.assert_allclose(model.expected_next(value).numpy(), expected, atol=1e-14)


class TestOptimalValues:
    @pytest.mark.parametrize("gamma", [0.0, 0.5, 0.9, 0.99])
    @pytest.mark.parametrize("n_outcomes", [1, 3])
    @pytest.mark.parametrize("state_only", [True, False])
    def test_enumeration_of_all_policies(self, gamma, n_outcomes, state_only):
        model, dense = random_process(5, 3, n_outcomes, seed=2)
        reward = random_rewards(2, 5, 1 if state_only else 3)
        value = value_iteration(model, reward, gamma)
        for r in range(2):
            full = np.broadcast_to(reward[r].numpy(), (5, 3))
            np.testing.assert_allclose(value[r].numpy(), best_of_all_policies(dense, full, gamma), atol=1e-6)

    def test_by_hand(self):
        # Two states; action 0 stays, action 1 swaps. r = (0, 1), gamma = 0.5: V(1) = 1 / (1 - 0.5) = 2 by staying,
        # V(0) = 0 + 0.5 * 2 = 1. Q(0, stay) = 0.5, Q(0, swap) = 1, Q(1, stay) = 2, Q(1, swap) = 1 + 0.5 * 1 = 1.5.
        successors = torch.tensor([[[0], [1]], [[1], [0]]])
        model = TransitionModel(successors, torch.ones(2, 2, 1))
        q = optimal_action_values(model, torch.tensor([[[0.0], [1.0]]]), 0.5, tolerance=1e-12)
        torch.testing.assert_close(q, torch.tensor([[[0.5, 1.0], [2.0, 1.5]]], dtype=torch.float64))

    @pytest.mark.parametrize(("gamma", "tolerance"), [(0.9, 1e-2), (0.9, 1e-9), (0.999, 1e-2)])
    def test_tolerance_bounds_the_error(self, gamma, tolerance):
        model, dense = random_process(6, 2, 2, seed=3)
        reward = random_rewards(1, 6, 2)
        exact = best_of_all_policies(dense, reward[0].numpy(), gamma)
        error = np.abs(value_iteration(model, reward, gamma, tolerance)[0].numpy() - exact).max()
        assert error <= tolerance

    def test_without_discount_only_the_next_reward_counts(self):
        model, _ = random_process(5, 3, 2, seed=4)
        reward = random_rewards(2, 5, 3)
        torch.testing.assert_close(optimal_action_values(model, reward, 0.0), reward)

    @pytest.mark.parametrize("gamma", [0.999, 0.99999, 0.9999999])
    @pytest.mark.parametrize("n_outcomes", [1, 3])
    def test_a_discount_near_one(self, gamma, n_outcomes):
        """Six digits below one are more sweeps than anybody waits for, and more digits of a value than there are."""
        model, dense = random_process(5, 3, n_outcomes, seed=2)
        reward = random_rewards(2, 5, 3)
        value = value_iteration(model, reward, gamma)
        for r in range(2):
            best = best_of_all_policies(dense, reward[r].numpy(), gamma)
            np.testing.assert_allclose(value[r].numpy(), best, rtol=1e-8 if gamma > 0.99999 else 1e-10, atol=1e-6)

    @pytest.mark.parametrize("p_rand", [0.0, 0.1])
    @pytest.mark.parametrize("gamma", [0.999, 0.99999, 0.9999999])
    def test_a_discount_near_one_on_a_grid_takes_no_longer(self, p_rand, gamma):
        problem = TabularProblem.of_grid(GridEnv("trap", 10, p_rand), gamma)
        begun = time.process_time()
        q = optimal_action_values(problem.transitions, random_rewards(20, 100, 1), gamma)
        assert time.process_time() - begun < 5.0  # 2 s on a machine that has nothing else to do
        backed_up = action_values(problem.transitions, random_rewards(20, 100, 1), q.amax(-1), gamma)
        torch.testing.assert_close(q, backed_up, rtol=1e-12, atol=1e-6)

    @pytest.mark.parametrize("p_rand", [0.0, 0.3])
    def test_replicates_do_not_touch_each_other(self, p_rand):
        model = transition_model(4, p_rand)
        reward = random_rewards(3, 16, 1) * torch.tensor([1.0, 100.0, 0.01])[:, None, None]
        together = optimal_action_values(model, reward, 0.9, 1e-9)
        for r in range(3):
            alone = optimal_action_values(model, reward[r : r + 1], 0.9, 1e-9)
            torch.testing.assert_close(together[r : r + 1], alone, rtol=0, atol=2e-9)

    @pytest.mark.parametrize("broken", [float("nan"), float("inf"), -float("inf")])
    def test_a_broken_reward_leaves_other_replicates_exact(self, broken):
        model = transition_model(3, 0.2)
        reward = random_rewards(3, 9, 1)
        reward[1, 4] = broken
        value = value_iteration(model, reward, 0.95)
        for r in (0, 2):
            alone = value_iteration(model, reward[r : r + 1], 0.95)
            torch.testing.assert_close(value[r : r + 1], alone, rtol=0, atol=2e-6)
        assert not value[1].isfinite().all()


class TestPolicyValues:
    @pytest.mark.parametrize("gamma", [0.0, 0.9, 0.999])
    @pytest.mark.parametrize("n_outcomes", [1, 3])
    def test_dense_solve(self, gamma, n_outcomes):
        model, dense = random_process(7, 3, n_outcomes, seed=5)
        reward = random_rewards(4, 7, 3)
        policy = random_rewards(4, 7, 3, seed=1).softmax(-1)
        value = policy_values(model, reward, policy, gamma)
        for r in range(4):
            expected = dense_values(dense, reward[r].numpy(), policy[r].numpy(), gamma)
            np.testing.assert_allclose(value[r].numpy(), expected, rtol=1e-9)

    def test_reward_of_the_state(self):
        model, dense = random_process(5, 2, 2, seed=6)
        reward = random_rewards(1, 5, 1)
        value = policy_values(model, reward, uniform_policy(model), 0.8)
        expected = dense_values(dense, np.repeat(reward[0].numpy(), 2, axis=1), np.full((5, 2), 0.5), 0.8)
        np.testing.assert_allclose(value[0].numpy(), expected, rtol=1e-10)

    def test_constant_reward(self):
        model = transition_model(4, 0.1)
        value = policy_values(model, torch.full((1, 16, 1), 3.0), uniform_policy(model), 0.9)
        torch.testing.assert_close(value, torch.full((1, 16), 30.0, dtype=torch.float64))  # 3 / (1 - 0.9)

    def test_greedy_policy_takes_the_first_best_action(self):
        q = torch.tensor([[[0.0, 2.0, 1.0], [5.0, 5.0, 1.0]]])
        assert greedy_policy(q).tolist() == [[[0, 1, 0], [1, 0, 0]]]

    def test_a_nan_in_one_replicate(self):
        model = transition_model(3, 0.0)
        reward = random_rewards(2, 9, 1)
        reward[0, 2] = float("nan")
        value = policy_values(model, reward, uniform_policy(model).expand(2, -1, -1), 0.9)
        torch.testing.assert_close(value[1:], policy_values(model, reward[1:], uniform_policy(model), 0.9))


class TestPublishedGrids:
    """10 x 10, gamma 0.95: values at the start of the optimal and of the uniformly random policy."""

    @pytest.mark.parametrize(
        ("layout", "optimal", "uniform"),
        [
            ("cliff", 31.77714547665743, -4.454407537119193),
            ("sparse", 6.7387150060807945, -1.9949247171253233),
            ("trap", 7.944286369164358, -6.7852527416065485),
        ],
    )
    def test_values_at_the_start(self, layout, optimal, uniform):
        problem = TabularProblem.of_grid(GridEnv(layout), 0.95)
        reference = ReferenceValues.of_problem(problem)
        assert reference.optimal.item() == pytest.approx(optimal, abs=1e-8)
        assert reference.uniform.item() == pytest.approx(uniform, abs=1e-4)
        by_iteration = value_iteration(problem.transitions, problem.reward[..., None], 0.95)[0, 0]
        assert by_iteration.item() == pytest.approx(optimal, abs=1e-6)

    @pytest.mark.parametrize("layout", ["cliff", "sparse", "trap"])
    def test_optimal_values_in_closed_form(self, layout):
        # The goal is 18 moves from the start and its reward g is collected forever: gamma^18 g / 0.05, plus what is
        # paid on the way: 18 steps of -0.1 in sparse, nothing in the others (cliff: down at once; trap: around).
        g, cost = {"cliff": (4.0, 0.0), "sparse": (1.0, -0.1), "trap": (1.0, 0.0)}[layout]
        expected = 0.95**18 * g / 0.05 + cost * (1 - 0.95**18) / 0.05
        problem = TabularProblem.of_grid(GridEnv(layout), 0.95)
        assert problem.q[0, 0].max().item() == pytest.approx(expected, abs=1e-6)


class TestEvaluateActions:
    @pytest.mark.parametrize("gamma", [0.0, 0.3, 0.95, 0.999])
    @pytest.mark.parametrize("n_outcomes", [1, 3])
    @pytest.mark.parametrize("state_only", [True, False])
    def test_dense_solve_and_dense_adjoint(self, gamma, n_outcomes, state_only):
        n_states, n_actions, n_replicates = 6, 3, 3
        model, dense = random_process(n_states, n_actions, n_outcomes, seed=7)
        reward = random_rewards(n_replicates, n_states, 1 if state_only else n_actions).requires_grad_()
        actions = torch.randint(n_actions, (n_replicates, n_states), generator=torch.Generator().manual_seed(1))
        outward = random_rewards(n_replicates, n_states, seed=2)
        value = evaluate_actions(model, reward, actions, gamma)
        (gradient,) = torch.autograd.grad(value, reward, outward)
        for r in range(n_replicates):
            chosen = np.eye(n_actions)[actions[r].numpy()]
            full = np.broadcast_to(reward[r].detach().numpy(), (n_states, n_actions))
            expected = dense_values(dense, full, chosen, gamma)
            np.testing.assert_allclose(value[r].detach().numpy(), expected, rtol=1e-6, atol=1e-6)
            moves = np.einsum("sa,sat->st", chosen, dense)
            adjoint = np.linalg.solve((np.eye(n_states) - gamma * moves).T, outward[r].numpy())
            expected = adjoint[:, None] if state_only else adjoint[:, None] * chosen
            np.testing.assert_allclose(gradient[r].numpy(), expected, rtol=1e-6, atol=1e-5)

    @pytest.mark.parametrize("n_outcomes", [1, 2])
    @pytest.mark.parametrize("n_rewards", [1, 2])
    def test_gradcheck(self, n_outcomes, n_rewards):
        model, _ = random_process(4, 2, n_outcomes, seed=8)
        actions = torch.tensor([[0, 1, 1, 0], [1, 1, 0, 0]])
        reward = random_rewards(2, 4, n_rewards).requires_grad_()
        assert torch.autograd.gradcheck(lambda r: evaluate_actions(model, r, actions, 0.9), (reward,))

    @pytest.mark.parametrize("p_rand", [0.0, 0.25])
    def test_float32_agrees_with_float64(self, p_rand):
        model = transition_model(5, p_rand)
        reward = random_rewards(2, 25, 1, dtype=torch.float32)
        actions = torch.randint(5, (2, 25), generator=torch.Generator().manual_seed(3))
        single = evaluate_actions(model, reward, actions, 0.95)
        assert single.dtype == torch.float32
        double = evaluate_actions(model, reward.double(), actions, 0.95)
        torch.testing.assert_close(single.double(), double, rtol=1e-5, atol=1e-4)

    @pytest.mark.parametrize("p_rand", [0.0, 0.25])
    def test_replicates_do_not_touch_each_other(self, p_rand):
        model = transition_model(4, p_rand)
        reward = random_rewards(3, 16, 1)
        actions = torch.randint(5, (3, 16), generator=torch.Generator().manual_seed(4))
        together = evaluate_actions(model, reward, actions, 0.9)
        poisoned = reward.clone()
        poisoned[1] = float("nan")
        beside_nan = evaluate_actions(model, poisoned, actions, 0.9)
        for r in (0, 2):
            alone = evaluate_actions(model, reward[r : r + 1], actions[r : r + 1], 0.9)
            torch.testing.assert_close(together[r : r + 1], alone)
            torch.testing.assert_close(beside_nan[r : r + 1], alone)


class TestPlan:
    @pytest.mark.parametrize("p_rand", [0.0, 0.2])
    @pytest.mark.parametrize("gamma", [0.0, 0.9, 0.99])
    @pytest.mark.parametrize("n_rewards", [1, 5])
    def test_agrees_with_value_iteration(self, p_rand, gamma, n_rewards):
        model = transition_model(4, p_rand)
        reward = random_rewards(3, 16, n_rewards)
        q, actions = plan(model, reward, gamma, torch.zeros(3, 16, dtype=torch.int64))
        expected = optimal_action_values(model, reward, gamma, 1e-8)
        slack = 1e-5 * (1 + reward.abs().max().item()) / (1 - gamma) + 1e-5  # what the improvement step ignores
        torch.testing.assert_close(q, expected, rtol=0, atol=slack)
        achieved = expected.gather(-1, actions[..., None]).squeeze(-1)
        torch.testing.assert_close(achieved, expected.amax(-1), rtol=0, atol=slack)

    def test_start_does_not_matter(self):
        model, reward = transition_model(4, 0.0), random_rewards(2, 16, 1)
        plans = [plan(model, reward, 0.9, torch.full((2, 16), action)) for action in range(5)]
        for q, _ in plans[1:]:
            torch.testing.assert_close(q, plans[0][0], rtol=0, atol=1e-3)

    @pytest.mark.parametrize("p_rand", [0.0, 0.2])
    @pytest.mark.parametrize("n_rewards", [1, 5])
    def test_gradient_is_that_of_the_optimal_values(self, p_rand, n_rewards):
        """Central differences of value iteration, which knows nothing of policies or envelope theorems."""
        model, gamma = transition_model(3, p_rand), 0.9
        reward = random_rewards(1, 9, n_rewards).requires_grad_()
        outward = random_rewards(1, 9, 5, seed=3)
        q, _ = plan(model, reward, gamma, torch.zeros(1, 9, dtype=torch.int64))
        (gradient,) = torch.autograd.grad((q * outward).sum(), reward)
        step = 1e-4
        for s, a in itertools.product(range(9), range(n_rewards)):
            nudge = torch.zeros_like(reward)
            nudge[0, s, a] = step
            up, down = (
                optimal_action_values(model, (reward + sign * nudge).detach(), gamma, 1e-11) for sign in (1, -1)
            )
            slope = ((up - down) * outward).sum() / (2 * step)
            assert gradient[0, s, a].item() == pytest.approx(slope.item(), abs=1e-4, rel=1e-4)

    def test_no_gradient_into_the_search(self):
        model = transition_model(3, 0.0)
        q, actions = plan(model, random_rewards(1, 9, 1).requires_grad_(), 0.9, torch.zeros(1, 9, dtype=torch.int64))
        assert q.requires_grad
        assert not actions.requires_grad

    def test_a_nan_in_one_replicate(self):
        model, reward = transition_model(4, 0.0), random_rewards(3, 16, 1)
        start = torch.zeros(3, 16, dtype=torch.int64)
        clean, _ = plan(model, reward, 0.9, start)
        reward[1, 3] = float("nan")
        q, _ = plan(model, reward, 0.9, start)
        torch.testing.assert_close(q[[0, 2]], clean[[0, 2]])

    def test_equal_actions_end_the_search(self):
        """A constant reward: every policy is optimal, and rounding must not keep the search alive."""
        model = transition_model(5, 0.2)
        start = torch.randint(5, (1, 25))
        q, actions = plan(model, torch.full((1, 25, 1), 0.1), 0.95, start)
        assert torch.equal(actions, start)
        torch.testing.assert_close(q, torch.full((1, 25, 5), 2.0), rtol=1e-4, atol=0)


class TestLargeGrids:
    """A dense transition array of 100 x 100 cells would take 4 GB."""

    @pytest.mark.parametrize(("p_rand", "n_outcomes"), [(0.0, 1), (0.1, 5)])
    def test_size_of_the_model(self, p_rand, n_outcomes):
        model = transition_model(100, p_rand)
        assert model.successors.shape == (10_000, 5, n_outcomes)
        assert model.successors.is_contiguous()
        assert model.probabilities.untyped_storage().nbytes() <= 10_000 * 5 * n_outcomes * 8

    def test_sparse_layout_in_closed_form(self):
        size, gamma = 100, 0.95
        problem = TabularProblem.of_grid(GridEnv("sparse", size), gamma)
        index = np.arange(size)
        moves = ((size - 1 - index)[:, None] + (size - 1 - index)[None, :]).reshape(-1)
        # -0.1 for each move on the way, then +1 forever.
        expected = -0.1 * (1 - gamma**moves) / (1 - gamma) + gamma**moves / (1 - gamma)
        value = problem.q[0].amax(-1).numpy()
        np.testing.assert_allclose(value, expected, atol=1e-6)
        reference = ReferenceValues.of_problem(problem)
        assert reference.optimal.item() == pytest.approx(expected[0], abs=1e-9)
        assert reference.uniform.item() < reference.optimal.item()
