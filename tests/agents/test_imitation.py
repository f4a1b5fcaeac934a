"""Acting like the demonstrators, as they were learned."""

from typing import Any

import numpy as np
import pytest
import torch

from mavrl.actions import VectorActions
from mavrl.agents.imitation import DemonstratedPolicy, demonstrated
from mavrl.policies.base import Policy

Q = [[[1.0, 0.0], [0.0, 2.0], [0.0, 0.0]], [[3.0, 0.0], [0.0, 0.0], [1.0, 0.0]]]
STATES = torch.tensor([[1.0, 0.0, 0.0], [0.0, 2.0, 0.0], [0.0, 0.0, 1.0]])
# Each member's chance of the first action, from Q times a rationality of 0.5.
FIRST = [1 / (1 + np.exp(-0.5 * np.array(gap))) for gap in ([1.0, -4.0, 0.0], [3.0, 0.0, 1.0])]
CHANCE = (FIRST[0] + FIRST[1]) / 2


@pytest.fixture
def policy(make_model: Any) -> DemonstratedPolicy:
    return DemonstratedPolicy(make_model([[0.0] * 5] * 2, [1.0, 1.0], q=Q, rationality=0.5))


def test_the_members_mean_probabilities(policy: DemonstratedPolicy) -> None:
    assert isinstance(policy, Policy)
    found = policy.probabilities(STATES, 1.0)
    assert found[:, 0].numpy() == pytest.approx(CHANCE, abs=1e-6)
    assert found.sum(-1).numpy() == pytest.approx(np.ones(3), abs=1e-9)


def test_greedy(policy: DemonstratedPolicy) -> None:
    assert policy.probabilities(STATES, float("inf")).tolist() == [[1, 0], [0, 1], [1, 0]]


def test_more_or_less_rational_than_they_are(policy: DemonstratedPolicy) -> None:
    squared = CHANCE**2 / (CHANCE**2 + (1 - CHANCE) ** 2)
    assert policy.probabilities(STATES, 2.0)[:, 0].numpy() == pytest.approx(squared, abs=1e-6)
    assert policy.probabilities(STATES, 0.0).tolist() == [[0.5, 0.5]] * 3


def test_exploration(policy: DemonstratedPolicy) -> None:
    found = policy.probabilities(STATES, float("inf"), epsilon=0.2)
    assert found[:, 0].tolist() == pytest.approx([0.9, 0.1, 0.9])


@pytest.mark.parametrize("shape", [(3,), (1, 3), (4, 2, 3)])
def test_observations_of_any_shape(policy: DemonstratedPolicy, shape: tuple[int, ...]) -> None:
    states = torch.ones(shape)
    found = policy.probabilities(states, 1.0)
    assert found.shape == (*shape[:-1], 2)
    assert found.reshape(-1, 2)[0].equal(policy.probabilities(torch.ones(3), 1.0))


def test_nobody_to_imitate(make_model: Any) -> None:
    with pytest.raises(ValueError, match="no demonstrations"):
        DemonstratedPolicy(make_model([[0.0] * 5], [1.0])).probabilities(STATES, 1.0)


class TestWhatAPolicyIsMovedTowards:
    def test_the_probabilities_of_numbers(self, policy: DemonstratedPolicy):
        wanted, own = demonstrated(policy.model, STATES)
        assert wanted[:, 0].numpy() == pytest.approx(CHANCE, abs=1e-6)
        assert own is None

    def test_the_means_and_deviations_of_vectors(self, make_model: Any):
        """Outputs are V, m before a tanh and p before a softplus, which is the identity for large numbers."""
        q = [
            [[0.0, 0.5, 0.0, 30.0, 0.0], [0.0, 0.0, -1.0, 30.0, 0.0], [0.0, 0.0, 0.0, 30.0, 0.0]],
            [[0.0, 1.5, 0.0, 30.0, 0.0], [0.0, 0.0, 0.0, 30.0, 0.0], [0.0, 0.0, 0.0, 30.0, 0.0]],
        ]
        box = VectorActions((-2.0, 0.0), (2.0, 1.0))
        model = make_model([[0.0] * 5] * 2, [1.0, 1.0], q=q, rationality=0.5, actions=box)
        wanted, own = demonstrated(model, torch.eye(3))
        first = (np.tanh(0.5) + np.tanh(1.5)) / 2
        assert wanted.numpy() == pytest.approx(np.array([[first, 0], [0, np.tanh(-1) / 2], [0, 0]]), abs=1e-5)
        assert own is not None
        assert own.exp().tolist() == pytest.approx([1 / np.sqrt(0.5 * 30), 1.0], rel=1e-4)  # never above 1
