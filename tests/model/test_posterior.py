"""The reward posterior and its prior."""

import math

import pytest
import torch
from scipy import optimize, stats

from mavrl.model.posterior import RewardPosterior, RewardPrior


def _generators(n: int) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(k) for k in range(n)]


def test_the_posterior_of_a_state_is_the_network_at_its_one_hot_vector() -> None:
    posterior = RewardPosterior(6, [7, 5], _generators(3))
    mean, logvar = posterior()
    assert mean.shape == logvar.shape == (3, 6)
    x = torch.eye(6).expand(3, -1, -1)
    layers = list(posterior.encoder.layers)
    for number, layer in enumerate(layers):
        x = torch.einsum("rni,rio->rno", x, layer.weight) + layer.bias
        if number < len(layers) - 1:
            x = torch.where(x > 0, x, 0.01 * x)
    assert torch.allclose(mean, x[..., 0], atol=1e-6)
    assert torch.allclose(logvar, x[..., 1], atol=1e-6)


def test_the_log_variance_is_clamped() -> None:
    posterior = RewardPosterior(4, [3], _generators(1))
    with torch.no_grad():
        posterior.encoder.layers[-1].bias[..., 1] = 1e4
        assert (posterior()[1] == 2).all()
        posterior.encoder.layers[-1].bias[..., 1] = -1e4
        assert (posterior()[1] == -20).all()


@pytest.mark.parametrize("scale", [0.5, 2.0])
def test_kl_is_the_divergence_of_normals(scale: float) -> None:
    prior = RewardPrior(torch.tensor([0.0, 1.0, -1.0]), scale, 2, 4.0, 0.8)
    mean, logvar = torch.randn(2, 3), torch.randn(2, 3)
    kl = prior.kl(mean, logvar)
    p = torch.distributions.Normal(mean, (0.5 * logvar).exp())
    q = torch.distributions.Normal(torch.tensor([0.0, 1.0, -1.0]), scale)
    assert torch.allclose(kl, torch.distributions.kl_divergence(p, q), atol=1e-5)


def test_a_fixed_scale_stays() -> None:
    prior = RewardPrior(torch.zeros(3), 0.7, 2, 4.0, 0.8)
    prior.fit(torch.randn(2, 3), torch.randn(2, 3))
    assert torch.allclose(prior.variance, torch.full((2, 1), 0.49))


@pytest.mark.parametrize(("shape", "rate"), [(1.0, 0.1), (3.0, 2.0), (0.01, 0.01)])
def test_a_learned_scale_is_the_optimum_of_bound_and_hyperprior(shape: float, rate: float) -> None:
    n_states = 7
    prior_mean = torch.zeros(n_states)
    prior_mean[-1] = 1.0
    mean, logvar = torch.randn(3, n_states), torch.randn(3, n_states)
    prior = RewardPrior(prior_mean, None, 3, shape, rate)
    prior.fit(mean, logvar)
    for r in range(3):

        def loss(log_variance: float, r: int = r) -> float:
            variance = math.exp(log_variance)
            kl = 0.0
            for s in range(n_states):
                v, d = math.exp(float(logvar[r, s])), float(mean[r, s] - prior_mean[s])
                kl += 0.5 * ((v + d * d) / variance - 1 + math.log(variance) - math.log(v))
            return kl - float(stats.invgamma.logpdf(variance, shape, scale=rate))

        best = optimize.minimize_scalar(loss, bounds=(-8, 8), method="bounded", options={"xatol": 1e-9})
        assert prior.variance[r].item() == pytest.approx(math.exp(best.x), rel=1e-4)
