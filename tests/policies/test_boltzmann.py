"""Boltzmann policies over action values."""

import math

import pytest
import torch

from mavrl.envs.grid import GridEnv
from mavrl.envs.problem import TabularProblem
from mavrl.evaluation.returns import value_at_start
from mavrl.policies.boltzmann import boltzmann_policy


def test_formula():
    q = torch.randn(2, 4, 3)
    policy = boltzmann_policy(q, 1.7)
    for r in range(2):
        for s in range(4):
            weights = [math.exp(1.7 * value) for value in q[r, s].tolist()]
            expected = [weight / sum(weights) for weight in weights]
            assert policy[r, s].tolist() == pytest.approx(expected, rel=1e-6)


def test_rationality_zero_is_uniform():
    policy = boltzmann_policy(100 * torch.randn(2, 4, 5), 0.0)
    torch.testing.assert_close(policy, torch.full((2, 4, 5), 0.2, dtype=torch.float64))


def test_large_rationality_is_greedy_and_shares_ties():
    q = torch.tensor([[[1.0, 3.0, 3.0], [5.0, -1e6, 0.0]]])
    expected = torch.tensor([[[0.0, 0.5, 0.5], [1.0, 0.0, 0.0]]], dtype=torch.float64)
    torch.testing.assert_close(boltzmann_policy(q, 1e4), expected)


def test_infinite_rationality_is_greedy():
    q = torch.tensor([[[1.0, 3.0, 2.0], [5.0, -1e6, 5.0 - 1e-6]]])
    expected = torch.tensor([[[0.0, 1.0, 0.0], [1.0, 0.0, 0.0]]], dtype=torch.float64)
    assert boltzmann_policy(q, math.inf).equal(expected)
    torch.testing.assert_close(boltzmann_policy(q, math.inf, 0.3), 0.7 * expected + 0.1)


@pytest.mark.parametrize("rationality", [0.0, 1.7, math.inf])
def test_epsilon_mixes_with_the_uniform_policy(rationality):
    q = torch.randn(2, 4, 3)
    greedy = boltzmann_policy(q, rationality)
    torch.testing.assert_close(boltzmann_policy(q, rationality, 0.25), 0.75 * greedy + 0.25 / 3)
    assert boltzmann_policy(q, rationality, 0.0).equal(greedy)
    assert boltzmann_policy(q, rationality, 1.0).flatten().tolist() == pytest.approx([1 / 3] * 24)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_probabilities_in_float64(dtype):
    policy = boltzmann_policy(1e4 * torch.randn(3, 10, 5, dtype=dtype), 5.0)
    assert policy.dtype == torch.float64
    torch.testing.assert_close(policy.sum(-1), torch.ones(3, 10, dtype=torch.float64), rtol=0, atol=1e-14)


def test_more_rational_behaviour_is_worth_more():
    problem = TabularProblem.of_grid(GridEnv("trap", 5), 0.9)
    values = [value_at_start(problem, boltzmann_policy(problem.q, beta)).item() for beta in (0.0, 1.0, 5.0, 100.0)]
    assert values == sorted(values)
    assert values[-1] == pytest.approx(problem.q[0, 0].max().item(), abs=1e-3)
