"""Correlations of rewards, against torch's multivariate normal distribution and plain linear algebra."""

import math

import pytest
import torch
from torch.distributions import Independent, MultivariateNormal, Normal, kl_divergence

from mavrl.model.correlation import (
    MOST_STATES_FULL,
    Correlation,
    LowRankCorrelation,
    TriangularCorrelation,
    chosen_covariance,
    first_correlation,
    stored_correlation,
)

R, S = 2, 5


def _generators() -> list[torch.Generator]:
    return [torch.Generator().manual_seed(k) for k in range(R)]


@pytest.fixture(params=["full", "low_rank"])
def learned(request: pytest.FixtureRequest) -> TriangularCorrelation | LowRankCorrelation:
    if request.param == "full":
        return TriangularCorrelation(torch.randn(R, S, S) / 3)
    return LowRankCorrelation(torch.randn(R, S, 2) / 3)


def _covariance(learned: TriangularCorrelation | LowRankCorrelation, r: int) -> torch.Tensor:
    """Of model r before it is scaled to variances of 1."""
    weight = learned.loadings[r].detach()
    if isinstance(learned, TriangularCorrelation):
        lower = torch.eye(S) + weight.tril(-1)
        return lower @ lower.T
    return torch.eye(S) + weight @ weight.T


@torch.no_grad()
def test_the_matrix_is_that_of_the_factors(learned: TriangularCorrelation | LowRankCorrelation) -> None:
    found = learned().matrix()
    for r in range(R):
        covariance = _covariance(learned, r)
        std = covariance.diagonal().sqrt()
        torch.testing.assert_close(found[r], covariance / (std[:, None] * std))


@torch.no_grad()
def test_draws_have_that_correlation_and_variances_of_1(learned: TriangularCorrelation | LowRankCorrelation) -> None:
    correlation = learned()
    factor = correlation.correlated(torch.eye(correlation.n_noise).expand(R, -1, -1)).mT  # of each number in the noise
    torch.testing.assert_close(factor @ factor.mT, correlation.matrix())
    torch.testing.assert_close(factor.square().sum(-1), torch.ones(R, S))


@torch.no_grad()
def test_total_correlation_is_the_divergence_from_the_marginals(
    learned: TriangularCorrelation | LowRankCorrelation,
) -> None:
    found = learned().total()
    for r in range(R):
        covariance = _covariance(learned, r)
        joint = MultivariateNormal(torch.zeros(S), covariance)
        marginals = MultivariateNormal(torch.zeros(S), torch.diag(covariance.diagonal()))
        torch.testing.assert_close(found[r], kl_divergence(joint, marginals), rtol=1e-4, atol=1e-5)
    assert (found > 0).all()


def test_independent_points_are_left_alone() -> None:
    correlation, noise = Correlation.independent(torch.randn(R, 7)), torch.randn(R, 3, 7)
    assert correlation.correlated(noise).equal(noise)
    assert correlation.total().tolist() == [0, 0]
    assert correlation.matrix().equal(torch.eye(7).expand(R, 7, 7))
    assert correlation.n_noise == 7


def test_it_begins_with_independent_states_and_can_leave_them() -> None:
    for covariance, atol in (("full", 0.0), ("low_rank", 0.3)):
        learned = first_correlation(covariance, S, 2, _generators())  # type: ignore[arg-type]
        assert learned is not None
        correlation = learned()
        assert (correlation.matrix() - torch.eye(S)).abs().max() <= atol
        noise = torch.randn(R, 1, correlation.n_noise)
        correlation.correlated(noise).square().sum().backward()
        gradient = learned.loadings.grad
        assert gradient is not None
        assert (gradient.tril(-1) if covariance == "full" else gradient).abs().sum((1, 2)).gt(0).all()
    assert first_correlation("diagonal", S, 2, _generators()) is None


def test_each_model_has_first_weights_of_its_own() -> None:
    learned = LowRankCorrelation.first(S, 2, _generators())
    alone = LowRankCorrelation.first(S, 2, _generators()[1:])
    assert learned.loadings[1:].equal(alone.loadings)
    assert not learned.loadings[0].equal(learned.loadings[1])


def test_members_and_models_are_chosen_along_their_axes(learned: TriangularCorrelation | LowRankCorrelation) -> None:
    correlation = learned()
    assert correlation.members(2).matrix().shape == (1, 2, S, S)
    assert correlation.members(2)[:, 1].matrix()[0].equal(correlation[1].matrix())


def test_stored_weights_are_of_their_class(learned: TriangularCorrelation | LowRankCorrelation) -> None:
    again = stored_correlation(learned.covariance, learned.loadings.detach())
    assert again is not None
    assert again().matrix().equal(learned().matrix())
    assert stored_correlation("diagonal", None) is None
    with pytest.raises(KeyError):
        stored_correlation("circular", learned.loadings.detach())


def test_full_is_chosen_where_it_is_affordable_and_makes_sense() -> None:
    assert chosen_covariance(None, "elbo", MOST_STATES_FULL) == "full"
    assert chosen_covariance(None, "elbo", MOST_STATES_FULL + 1) == "diagonal"
    assert chosen_covariance(None, "weighted", 9) == "diagonal"
    assert chosen_covariance("full", "elbo", 10_000) == "full"
    assert chosen_covariance("low_rank", "elbo", 9) == "low_rank"


@pytest.mark.parametrize("covariance", ["full", "low_rank"])
def test_the_posterior_of_a_linear_gaussian_model_is_found(covariance: str) -> None:
    """Its covariance is known. With rank 1 and one observation the low-rank form holds it nearly, too."""
    observed = torch.tensor([1.0, -1.0, 1.0, 0.5])
    exact = torch.linalg.inv(torch.eye(4) + 8 * torch.outer(observed, observed))
    learned = first_correlation(covariance, 4, 2, _generators()[:1])  # type: ignore[arg-type]
    assert learned is not None
    logvar = torch.zeros(1, 4, requires_grad=True)
    optimizer = torch.optim.Adam([logvar, learned.loadings], lr=0.02)
    for _ in range(500):
        correlation = learned()
        std = (0.5 * logvar).exp()
        found = std[..., :, None] * correlation.matrix() * std[..., None, :]
        likelihood = -0.5 * 8 * (observed @ found[0] @ observed)  # its expectation, where the mean is right
        kl = 0.5 * (logvar.exp() - 1 - logvar).sum() + correlation.total().sum()
        optimizer.zero_grad()
        (kl - likelihood).backward()
        optimizer.step()
    joint = MultivariateNormal(torch.zeros(4), found[0].detach())
    distance = kl_divergence(joint, MultivariateNormal(torch.zeros(4), exact))
    alone = Independent(Normal(torch.zeros(4), torch.linalg.inv(exact).diagonal() ** -0.5), 1)  # the best of these
    apart = MultivariateNormal(torch.zeros(4), torch.diag(alone.base_dist.variance))
    independent = kl_divergence(apart, MultivariateNormal(torch.zeros(4), exact))
    assert distance < (1e-3 if covariance == "full" else 0.5 * independent)
    if covariance == "full":
        torch.testing.assert_close(found[0].detach(), exact, atol=0.02, rtol=0.02)
        assert math.isclose(-likelihood.item(), 4 * float(observed @ exact @ observed), rel_tol=0.02)
