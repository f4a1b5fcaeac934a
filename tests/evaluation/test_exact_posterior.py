"""The sampler against a posterior in closed form, and the feedback's log-likelihood against a sum by hand."""

import math

import torch

from mavrl.envs import GridEnv
from mavrl.envs.problem import TabularProblem
from mavrl.evaluation.exact_posterior import elliptical_slice_sampling, feedback_log_likelihood
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
    value = feedback_log_likelihood(problem, PreferenceLikelihood(2.0), pairs)(reward)
    for k in range(4):
        difference = (reward[k, 0] + reward[k, 1] - reward[k, 4] - reward[k, 5]) / 2
        assert math.isclose(value[k], -math.log1p(math.exp(-2.0 * difference)), rel_tol=1e-9)
    shown = DemonstrationBatch(_steps([0, 4], [3, 0], 2)).repeat_replicates(4)
    value = feedback_log_likelihood(problem, DemonstrationLikelihood(3.0), shown)(reward)
    q = 3.0 * optimal_action_values(problem.transitions, reward[..., None], 0.9)
    expected = q[:, 0, 3] - q[:, 0].logsumexp(-1) + q[:, 4, 0] - q[:, 4].logsumexp(-1)
    assert torch.allclose(value, expected)
