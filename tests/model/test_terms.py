"""Terms of the objectives against torch.distributions and numbers by hand."""

import math

import pytest
import torch
from torch.distributions import Normal, kl_divergence

from mavrl.model.terms import bellman_nll, gaussian_kl, masked_mean, soft_value


class TestGaussianKL:
    def test_torch_distributions(self):
        mean, prior_mean = torch.randn(3, 5, dtype=torch.float64), torch.randn(3, 5, dtype=torch.float64)
        logvar, prior_variance = torch.randn(3, 5, dtype=torch.float64), torch.rand(3, 5, dtype=torch.float64) + 0.1
        expected = kl_divergence(Normal(mean, (logvar / 2).exp()), Normal(prior_mean, prior_variance.sqrt()))
        torch.testing.assert_close(gaussian_kl(mean, logvar, prior_mean, prior_variance), expected)

    def test_by_hand(self):
        # KL(N(1, 1) || N(0, 4)) = ln 2 + (1 + 1) / 8 - 1 / 2 = 0.44314718
        kl = gaussian_kl(torch.ones(1), torch.zeros(1), torch.zeros(1), torch.full((1,), 4.0))
        assert kl.item() == pytest.approx(0.44314718)

    def test_zero_at_the_prior_and_nowhere_else(self):
        mean, logvar = torch.tensor([0.5, 0.6, 0.5]), torch.tensor([math.log(2), math.log(2), 0.0])
        kl = gaussian_kl(mean, logvar, torch.tensor([0.5]), torch.tensor([2.0]))
        assert kl[0].item() == pytest.approx(0, abs=1e-7)
        assert (kl[1:] > 1e-4).all()

    def test_prior_is_broadcast(self):
        mean, logvar = torch.randn(3, 5), torch.randn(3, 5)
        prior_mean, prior_variance = torch.randn(1, 5), torch.rand(3, 1) + 0.1
        kl = gaussian_kl(mean, logvar, prior_mean, prior_variance)
        full = gaussian_kl(mean, logvar, prior_mean.expand(3, 5), prior_variance.expand(3, 5))
        torch.testing.assert_close(kl, full)

    @pytest.mark.parametrize("logvar", [-20.0, 2.0])
    def test_finite_at_the_clamps(self, logvar):
        at = torch.full((2,), logvar, requires_grad=True)
        gaussian_kl(torch.zeros(2), at, torch.zeros(2), torch.full((2,), 1e-4)).sum().backward()
        assert at.grad.isfinite().all()


class TestBellman:
    def test_density(self):
        """Up to log(2 pi) / 2, the negative log-density of the residual."""
        residual, mean, logvar = torch.randn(3, 2, 4, 5, dtype=torch.float64)
        expected = -Normal(mean, (logvar / 2).exp()).log_prob(residual) - math.log(2 * math.pi) / 2
        torch.testing.assert_close(bellman_nll(residual, mean, logvar), expected)

    def test_by_hand(self):
        # ((3 - 1)^2 / 4 + ln 4) / 2 = (1 + 1.38629436) / 2 = 1.19314718
        nll = bellman_nll(torch.tensor([3.0]), torch.tensor([1.0]), torch.tensor([math.log(4)]))
        assert nll.item() == pytest.approx(1.19314718)


class TestMaskedMean:
    def test_by_hand(self):
        values = torch.tensor([[[1.0, 2.0], [3.0, 100.0]], [[4.0, 100.0], [100.0, 100.0]]])
        valid = torch.tensor([[[True, True], [True, False]], [[True, False], [False, False]]])
        assert masked_mean(values, valid).tolist() == [2.0, 4.0]

    def test_nothing_valid_is_zero(self):
        assert masked_mean(torch.ones(2, 3), torch.zeros(2, 3, dtype=torch.bool)).tolist() == [0.0, 0.0]

    def test_what_is_not_valid_may_be_anything(self):
        values = torch.tensor([[1.0, float("nan")], [float("inf"), 3.0]], requires_grad=True)
        mean = masked_mean(values, torch.tensor([[True, False], [False, True]]))
        mean.sum().backward()
        assert mean.tolist() == [1.0, 3.0]
        assert values.grad.tolist() == [[1.0, 0.0], [0.0, 1.0]]


class TestSoftValue:
    def test_by_hand(self):
        # 2 * ln((e^0 + e^1) / 2) = 2 * ln(1.85914091) = 1.24022901 for Q = (0, 2), temperature 2
        assert soft_value(torch.tensor([0.0, 2.0]), 2.0).item() == pytest.approx(1.24022901, abs=1e-6)

    def test_cold_is_the_maximum_and_hot_the_mean(self):
        q = torch.randn(3, 4, 5, dtype=torch.float64)
        torch.testing.assert_close(soft_value(q, 1e-5), q.amax(-1), rtol=0, atol=1e-4)
        torch.testing.assert_close(soft_value(q, 1e5), q.mean(-1), rtol=0, atol=1e-4)

    def test_equal_values_are_their_own(self):
        torch.testing.assert_close(soft_value(torch.full((3, 4), 7.0), 0.3), torch.full((3,), 7.0))

    def test_finite_at_saturation(self):
        q = torch.tensor([[1e6, -1e6, 0.0]], requires_grad=True)
        value = soft_value(q, 0.1)
        value.sum().backward()
        assert value.item() == pytest.approx(1e6)
        assert q.grad.tolist() == [[1, 0, 0]]
