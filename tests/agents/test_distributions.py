"""Distributions of actions: those of torch, with the gradients that autograd finds."""

import math

import numpy as np
import pytest
import torch
from torch.distributions import Categorical, Distribution, Independent, Normal

from mavrl.actions import NumberedActions, VectorActions
from mavrl.agents.distributions import ActionDistribution, Numbers, Vectors, distribution_of
from mavrl.policies.gaussian import GaussianPolicy

BOX = VectorActions((-2.0, 0.0), (2.0, 1.0))
KINDS = {"numbers": Numbers(3), "vectors": Vectors(BOX)}


def outputs_of(kind: ActionDistribution) -> tuple[torch.Tensor, torch.Tensor]:
    """Of two replicates in five states."""
    generator = torch.Generator().manual_seed(1)
    return tuple(torch.randn(shape, generator=generator) for shape in ((2, 5, kind.n_outputs), (2, kind.n_own)))  # type: ignore


def torch_s(kind: ActionDistribution, outputs: torch.Tensor, own: torch.Tensor) -> Distribution:
    if isinstance(kind, Numbers):
        return Categorical(logits=outputs)
    return Independent(Normal(outputs, own.exp()[:, None].expand(outputs.shape)), 1)


@pytest.mark.parametrize("name", KINDS)
class TestAgainstTorch:
    def test_log_probabilities(self, name: str):
        kind = KINDS[name]
        outputs, own = outputs_of(kind)
        theirs = torch_s(kind, outputs, own)
        actions = theirs.sample()
        found = kind.choices(outputs, own).log_prob(actions)
        assert found.numpy() == pytest.approx(theirs.log_prob(actions).numpy(), abs=1e-5)

    def test_gradients(self, name: str):
        """Of a loss that weighs the log-probability of each action, and takes the entropies off."""
        kind = KINDS[name]
        outputs, own = (each.requires_grad_() for each in outputs_of(kind))
        theirs = torch_s(kind, outputs, own)
        actions, weight = theirs.sample(), torch.randn(2, 5)
        ((weight * theirs.log_prob(actions)).sum() - 0.3 * theirs.entropy().sum()).backward()
        with torch.no_grad():
            of_outputs, of_own = kind.choices(outputs, own).gradient(actions, weight, 0.3)
        assert outputs.grad is not None
        assert of_outputs.numpy() == pytest.approx(outputs.grad.numpy(), abs=1e-4)
        if kind.n_own:
            assert own.grad is not None
            assert of_own.numpy() == pytest.approx(own.grad.numpy(), abs=1e-4)

    def test_what_is_not_finite_chooses_too(self, name: str):
        kind = KINDS[name]
        draws = kind.draws(np.random.default_rng(0), 1, 4)
        outputs, own = np.full((1, 4, kind.n_outputs), np.nan), np.full((1, kind.n_own), np.nan)
        assert np.isfinite(kind.taken(kind.drawn(outputs, own, draws))).all()


class TestNumbers:
    def test_by_hand(self):
        logits = np.log(np.array([0.2, 0.5, 0.3])) + 7
        draws = np.array([0.0, 0.19, 0.21, 0.69, 0.71, 0.999])[:, None]
        assert Numbers(3).drawn(np.tile(logits, (6, 1)), np.zeros((6, 0)), draws).tolist() == [0, 0, 1, 1, 2, 2]


class TestVectors:
    def test_draws_have_the_mean_and_the_deviation(self):
        mean, std = np.array([[[0.3, -1.0]]]), np.array([[0.5, 2.0]])
        draws = Vectors(BOX).draws(np.random.default_rng(0), 1, 20_000)
        found = Vectors(BOX).drawn(np.tile(mean, (1, 20_000, 1)), np.log(std), draws)[0]
        assert found.mean(0) == pytest.approx(mean[0, 0], abs=0.05)
        assert found.std(0) == pytest.approx(std[0], rel=0.03)

    def test_environments_are_given_what_is_in_the_box(self):
        assert Vectors(BOX).taken(np.array([[-3.0, 0.2], [1.5, -0.1]])).tolist() == [[-1.0, 0.2], [1.0, -0.1]]

    def test_the_policy_has_the_means_and_one_deviation(self):
        weight, bias, own = torch.randn(2, 3), torch.randn(2), torch.tensor([-1.0, 0.5])
        policy = Vectors(BOX).policy([(weight, bias)], own)
        assert isinstance(policy, GaussianPolicy)
        x = torch.randn(5, 3)
        mean, std = policy(x)
        assert mean.numpy() == pytest.approx((x @ weight.mT + bias).numpy(), abs=1e-5)
        assert std.numpy() == pytest.approx(np.tile([math.exp(-1), math.exp(0.5)], (5, 1)), abs=1e-6)
        assert (policy.squash, policy.actions) == ("clip", BOX)


def test_each_kind_of_action_has_one() -> None:
    assert distribution_of(NumberedActions(4)) == Numbers(4)
    assert distribution_of(BOX) == Vectors(BOX)
