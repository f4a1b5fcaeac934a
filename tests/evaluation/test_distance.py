"""EPIC against canonical shaping over all transitions, rank correlations against SciPy."""

import numpy as np
import pytest
import torch
from scipy import stats

from mavrl.evaluation.distance import epic_distance, pearson, spearman


def epic_by_definition(first: np.ndarray, second: np.ndarray, n_actions: int, gamma: float) -> float:
    """Gleave et al. (2021), definitions 4.1 and 4.7, for rewards R(s, a, s') given as dense arrays."""

    def canonically_shaped(reward: np.ndarray) -> np.ndarray:
        n_states = len(reward)
        shaped = np.zeros_like(reward)
        # E[R(s, A, S')] for uniform A and S'
        mean_from = np.array(
            [np.mean([reward[s, a, t] for a in range(n_actions) for t in range(n_states)]) for s in range(n_states)]
        )
        everywhere = np.mean([mean_from[s] for s in range(n_states)])  # E[R(S, A, S')]
        for s in range(n_states):
            for a in range(n_actions):
                for t in range(n_states):
                    shaped[s, a, t] = reward[s, a, t] + gamma * mean_from[t] - mean_from[s] - gamma * everywhere
        return shaped.reshape(-1)

    rho = np.corrcoef(canonically_shaped(first), canonically_shaped(second))[0, 1]
    return float(np.sqrt((1 - rho) / 2))


def of_transitions(reward: np.ndarray, n_actions: int) -> np.ndarray:
    return np.broadcast_to(reward[:, None, None], (len(reward), n_actions, len(reward))).copy()


class TestEpic:
    @pytest.mark.parametrize("gamma", [0.5, 0.95])
    def test_definition(self, gamma):
        rewards, truth = torch.randn(4, 9, dtype=torch.float64), torch.randn(1, 9, dtype=torch.float64)
        distance = epic_distance(rewards, truth)
        for r in range(4):
            dense = [of_transitions(reward.numpy(), 5) for reward in (rewards[r], truth[0])]
            assert distance[r].item() == pytest.approx(epic_by_definition(*dense, 5, gamma), rel=1e-9)

    @pytest.mark.parametrize(("scale", "shift"), [(1, 0), (10, 0), (1e-3, 0), (1, 5), (1e4, -1e4)])
    def test_positive_scale_and_shift(self, scale, shift):
        reward, truth = torch.randn(3, 20, dtype=torch.float64), torch.randn(3, 20, dtype=torch.float64)
        torch.testing.assert_close(epic_distance(scale * reward + shift, truth), epic_distance(reward, truth))
        same = epic_distance(scale * truth + shift, truth)
        torch.testing.assert_close(same, torch.zeros_like(same), rtol=0, atol=1e-6)

    def test_negated_is_as_far_as_can_be(self):
        truth = torch.randn(3, 20)
        torch.testing.assert_close(epic_distance(-truth, truth), torch.ones(3, dtype=torch.float64))

    @pytest.mark.parametrize("constant", [0.0, 1.0, -0.1, 1000.1])
    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
    def test_a_constant_reward_is_half_way(self, constant, dtype):
        # A correlation of 0: sqrt(1 / 2)
        distance = epic_distance(torch.full((2, 100), constant, dtype=dtype), torch.randn(1, 100))
        torch.testing.assert_close(distance, torch.full((2,), 0.5**0.5, dtype=torch.float64))

    @pytest.mark.parametrize("unit", [1e-12, 1e-8, 1e9])
    def test_units(self, unit):
        reward, truth = torch.randn(3, 20, dtype=torch.float64), torch.randn(1, 20, dtype=torch.float64)
        torch.testing.assert_close(epic_distance(unit * reward, unit * truth), epic_distance(reward, truth))

    def test_symmetric(self):
        reward, other = torch.randn(2, 3, 15)
        torch.testing.assert_close(epic_distance(reward, other), epic_distance(other, reward))

    def test_by_hand(self):
        # r = (0, 0, 1), truth = (0, 1, 1): correlation (1/3) / (2/3) = 1/2, distance sqrt((1 - 1/2) / 2) = 1/2.
        distance = epic_distance(torch.tensor([[0.0, 0.0, 1.0]]), torch.tensor([[0.0, 1.0, 1.0]]))
        assert distance.item() == pytest.approx(0.5)

    def test_a_nan_stays_in_its_replicate(self):
        reward, truth = torch.randn(2, 9), torch.randn(1, 9)
        clean = epic_distance(reward, truth)
        reward[0, 3] = float("nan")
        assert epic_distance(reward, truth)[1] == clean[1]


class TestCorrelation:
    def test_pearson(self):
        x, y = torch.randn(4, 30, dtype=torch.float64), torch.randn(4, 30, dtype=torch.float64)
        expected = [stats.pearsonr(x[r], y[r]).statistic for r in range(4)]
        assert pearson(x, y).tolist() == pytest.approx(expected, rel=1e-10)

    @pytest.mark.parametrize("n_values", [3, 5, 1000])
    def test_spearman_with_ties(self, n_values):
        x = torch.randint(n_values, (5, 60)).double()
        y = (x + torch.randint(n_values, (5, 60))).float()
        expected = [stats.spearmanr(x[r], y[r]).statistic for r in range(5)]
        assert spearman(x, y).tolist() == pytest.approx(expected, rel=1e-10)

    def test_one_truth_for_all(self):
        x, y = torch.randn(3, 20), torch.randn(1, 20)
        expected = [stats.spearmanr(x[r], y[0]).statistic for r in range(3)]
        assert spearman(x, y).tolist() == pytest.approx(expected, rel=1e-10)

    def test_any_increasing_function_keeps_the_ranks(self):
        x = torch.randn(2, 40, dtype=torch.float64)
        torch.testing.assert_close(spearman(x.exp(), x), torch.ones(2, dtype=torch.float64))
        torch.testing.assert_close(spearman(-x.pow(3), x), -torch.ones(2, dtype=torch.float64))

    def test_a_constant_correlates_with_nothing(self):
        assert spearman(torch.ones(2, 10), torch.randn(2, 10)).tolist() == [0, 0]
        assert pearson(torch.randn(2, 10), torch.ones(2, 10)).tolist() == [0, 0]
