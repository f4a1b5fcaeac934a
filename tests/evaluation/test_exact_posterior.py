"""The sampler against a posterior in closed form, and the feedback's log-likelihood against a sum by hand."""

import math

import pytest
import torch

from mavrl.envs import GridEnv
from mavrl.envs.problem import TabularProblem
from mavrl.evaluation.exact_posterior import (
    Chains,
    FeedbackLogLikelihood,
    elliptical_slice_sampling,
    leapt,
    r_hat,
    redrawn,
    stretched,
)
from mavrl.feedback.demonstration import DemonstrationBatch, DemonstrationLikelihood
from mavrl.feedback.preference import PreferenceBatch, PreferenceLikelihood
from mavrl.planning import optimal_action_values
from mavrl.types import Transitions


def _draws(log_likelihood, mean, scale, seed=3):
    generator = torch.Generator().manual_seed(seed)
    draws = elliptical_slice_sampling(log_likelihood, mean, scale, 200, 150, 50, generator)
    return draws.flatten(0, 1)


def test_gaussian_likelihood_gives_the_conjugate_posterior():
    mean, scale, noise = torch.tensor([0.5, -1.0]).double(), 1.5, 0.7
    observed = torch.tensor([2.0, 0.0]).double()
    draws = _draws(lambda r: -0.5 * ((r - observed) / noise).square().sum(-1), mean, scale)
    precision = 1 / scale**2 + 1 / noise**2
    expected = (mean / scale**2 + observed / noise**2) / precision
    assert torch.allclose(draws.mean(0), expected, atol=0.02)
    assert torch.allclose(draws.std(0), torch.full((2,), precision**-0.5).double(), atol=0.02)


def test_correlated_posterior():
    # One observation of the sum: r1 + r2 ~ N(3, 1) under a standard normal prior. Posterior covariance I - 11'/3.
    draws = _draws(lambda r: -0.5 * (r.sum(-1) - 3).square(), torch.zeros(2).double(), 1.0)
    assert torch.allclose(draws.mean(0), torch.ones(2).double(), atol=0.02)
    assert torch.allclose(torch.cov(draws.T), torch.tensor([[2, -1], [-1, 2]]).double() / 3, atol=0.03)


def test_without_data_it_is_the_prior():
    draws = _draws(lambda r: torch.zeros(len(r)).double(), torch.tensor([1.0]).double(), 2.0)
    assert abs(draws.mean().item() - 1) < 0.05
    assert abs(draws.std().item() - 2) < 0.05


def _steps(state, action, *shape):
    state, action = torch.tensor(state).view(1, *shape), torch.tensor(action).view(1, *shape)
    no = torch.zeros_like(state, dtype=torch.bool)
    return Transitions(state, action, torch.zeros_like(state), torch.zeros_like(state), no, ~no)


def test_log_likelihood_of_preferences_and_demonstrations():
    problem = TabularProblem.of_grid(GridEnv("trap", 3), 0.9)
    reward = torch.randn(4, 9, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    pairs = PreferenceBatch(_steps([0, 1, 4, 5], [0, 0, 0, 0], 1, 2, 2), torch.tensor([[True]])).repeat_replicates(4)
    value = FeedbackLogLikelihood(problem, {"preference": PreferenceLikelihood(2.0)}, {"preference": pairs})(reward)
    for k in range(4):
        difference = (reward[k, 0] + reward[k, 1] - reward[k, 4] - reward[k, 5]) / 2
        assert math.isclose(value[k], -math.log1p(math.exp(-2.0 * difference)), rel_tol=1e-9)
    shown = DemonstrationBatch(_steps([0, 4], [3, 0], 2)).repeat_replicates(4)
    value = FeedbackLogLikelihood(problem, {"demonstration": DemonstrationLikelihood(3.0)}, {"demonstration": shown})(
        reward
    )
    q = 3.0 * optimal_action_values(problem.transitions, reward[..., None], 0.9)
    expected = q[:, 0, 3] - q[:, 0].logsumexp(-1) + q[:, 4, 0] - q[:, 4].logsumexp(-1)
    assert torch.allclose(value, expected)


CHAINS = 400


def _iterate(log_likelihood, mean, n_iterations, step, shape=None, rate=None, kinds="lsr"):
    """Rewards and variances of many chains, after each iteration but the first fifty."""
    generator = torch.Generator().manual_seed(4)
    numbers = torch.distributions.Gamma(torch.tensor((shape or 1) + len(mean) / 2).double(), 1.0)

    def uniform():
        return torch.rand(CHAINS, generator=generator, dtype=torch.float64)

    def normal():
        return torch.randn(CHAINS, len(mean), generator=generator, dtype=torch.float64)

    deviation, variance = normal(), torch.ones(CHAINS, 1).double()
    chains = Chains(deviation, log_likelihood(mean + deviation), variance)
    rewards, variances = [], []
    for iteration in range(n_iterations):
        if "l" in kinds:
            sizes = step * (0.8 + 0.4 * uniform()[:, None])
            chains, _ = leapt(log_likelihood, mean, chains, normal(), sizes, 10, uniform)
        if "s" in kinds:
            chains = stretched(log_likelihood, mean, chains, shape, rate, 1.0, uniform)
        if "r" in kinds:
            chains = redrawn(chains, rate, numbers.sample((CHAINS,)))
        assert torch.allclose(chains.log_likelihood, log_likelihood(mean + chains.deviation))
        if iteration >= 50:
            rewards.append(mean + chains.deviation)
            variances.append(chains.variance.squeeze(-1))
    return torch.stack(rewards).flatten(0, 1), torch.stack(variances).flatten()


def test_trajectories_sample_a_correlated_posterior():
    # One observation of the sum, as above, about another prior mean: r1 + r2 - 2 ~ N(3, 1).
    mean = torch.ones(2).double()
    draws, _ = _iterate(lambda r: -0.5 * (r.sum(-1) - 5).square(), mean, 150, 0.3, kinds="l")
    assert torch.allclose(draws.mean(0), torch.full((2,), 2.0).double(), atol=0.03)
    assert torch.allclose(torch.cov(draws.T), torch.tensor([[2, -1], [-1, 2]]).double() / 3, atol=0.03)


@pytest.mark.parametrize("kinds", ["ls", "lr", "lsr"])
def test_the_variance_of_the_prior_is_that_of_quadrature(kinds):
    # Two states observed with a noise of 0.5. Given v, each observation is N(0, v + 0.25), so p(v | data) is known.
    shape, rate, noise = 4.0, 0.8, 0.25
    observed = torch.tensor([1.0, -0.3]).double()
    _, variances = _iterate(
        lambda r: -0.5 * ((r - observed).square() / noise).sum(-1),
        torch.zeros(2).double(),
        400,
        0.3,
        shape,
        rate,
        kinds,
    )
    v = torch.linspace(1e-3, 8, 40_000, dtype=torch.float64)
    log_density = -(shape + 1) * v.log() - rate / v - (v + noise).log() - 0.5 * observed.square().sum() / (v + noise)
    weight = torch.softmax(log_density, 0)
    expected = (weight * v.log()).sum()
    spread = (weight * (v.log() - expected).square()).sum().sqrt()
    assert math.isclose(variances.log().mean(), expected, abs_tol=0.03)
    assert math.isclose(variances.log().std(), spread, abs_tol=0.03)


def test_r_hat_by_hand():
    # Two chains of four draws, four halves of two: means 1, 2, 3, 4, variances 2 each.
    halves = torch.tensor([[0.0, 2.0], [1.0, 3.0], [2.0, 4.0], [3.0, 5.0]])
    draws = halves.reshape(1, 2, 4, 1)
    within, between = 2.0, 5 / 3
    assert math.isclose(r_hat(draws).item(), math.sqrt((0.5 * within + between) / within), rel_tol=1e-9)


def test_chains_that_agree_have_an_r_hat_of_1():
    draws = torch.randn(2, 4, 4000, 3, generator=torch.Generator().manual_seed(0))
    assert (r_hat(draws) - 1).abs().max() < 0.005
    assert r_hat(draws + torch.arange(4)[:, None, None]).min() > 1.3


def test_all_kinds_together_are_the_sum_of_each_and_differentiable():
    problem = TabularProblem.of_grid(GridEnv("trap", 3), 0.9)
    reward = torch.randn(4, 9, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    batches = {
        "preference": PreferenceBatch(_steps([0, 1, 4, 5], [0, 0, 0, 0], 1, 2, 2), torch.tensor([[True]])),
        "demonstration": DemonstrationBatch(_steps([0, 4], [3, 0], 2)),
    }
    batches = {kind: batch.repeat_replicates(4) for kind, batch in batches.items()}
    likelihoods = {"preference": PreferenceLikelihood(2.0), "demonstration": DemonstrationLikelihood(3.0)}
    together = FeedbackLogLikelihood(problem, likelihoods, batches)
    alone = [FeedbackLogLikelihood(problem, {kind: likelihoods[kind]}, {kind: batches[kind]}) for kind in batches]
    assert torch.allclose(together(reward), alone[0](reward) + alone[1](reward))
    for _ in range(2):  # the second begins with the policies of the first
        assert torch.autograd.gradcheck(lambda r: together(r), (reward.clone().requires_grad_(),), atol=1e-6)
