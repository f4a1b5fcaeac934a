import math

import numpy as np
import pytest
import torch
from scipy import integrate, stats
from torch.distributions import Normal

from mavrl.quadratic import QuadraticValues

GRID = torch.linspace(-1, 1, 20001, dtype=torch.float64)


def _values(*shape: int, size: int = 2, seed: int = 0, scale: float = 3.0) -> QuadraticValues:
    outputs = scale * torch.randn(*shape, 1 + 2 * size, generator=torch.Generator().manual_seed(seed))
    return QuadraticValues.from_outputs(outputs.double())


def test_the_outputs_are_a_value_a_mean_in_the_box_and_a_precision() -> None:
    q = QuadraticValues.from_outputs(torch.tensor([1.5, 0.0, 2.0, 0.0, -1.0]))
    assert q.value == 1.5
    torch.testing.assert_close(q.mean, torch.tensor([0.0, math.tanh(2.0)]))
    torch.testing.assert_close(q.precision, torch.tensor([math.log(2), math.log1p(math.exp(-1.0))]))


def test_values_by_hand() -> None:
    q = QuadraticValues(torch.tensor(3.0), torch.tensor([0.5, -0.5]), torch.tensor([2.0, 4.0]))
    action = torch.tensor([1.0, 0.0])
    assert q.regret(action) == 0.5 * (2 * 0.25 + 4 * 0.25)
    assert q.at(action) == 3.0 - 0.75
    assert q.at(q.mean) == 3.0
    assert q.regret(q.mean) == 0.0


@pytest.mark.parametrize("rationality", [0.01, 1.0, 30.0])
def test_the_policy_is_a_density_over_the_box(rationality: float) -> None:
    q = _values(5, size=1)
    for k in range(5):
        density = q[k].log_policy(GRID[:, None], rationality).exp()
        assert float(torch.trapezoid(density, GRID)) == pytest.approx(1.0, abs=1e-5)


@pytest.mark.parametrize("rationality", [0.3, 4.0])
def test_in_two_dimensions_too_and_it_is_the_boltzmann_policy(rationality: float) -> None:
    q = _values(size=2, seed=3)

    def weight(y: float, x: float) -> float:
        return math.exp(rationality * float(q.at(torch.tensor([x, y], dtype=torch.float64)) - q.value))

    mass, _ = integrate.dblquad(weight, -1, 1, -1, 1, epsabs=1e-9)
    assert float(q.log_normaliser(rationality)) == pytest.approx(math.log(mass), abs=1e-7)
    first, second = torch.tensor([0.3, -0.9]).double(), torch.tensor([-1.0, 1.0]).double()
    odds = q.log_policy(first, rationality) - q.log_policy(second, rationality)
    assert float(odds) == pytest.approx(float(rationality * (q.at(first) - q.at(second))), abs=1e-12)


def test_without_rationality_it_is_uniform() -> None:
    q = _values(4, size=3)
    uniform = torch.full((4,), -3 * math.log(2), dtype=torch.float64)
    torch.testing.assert_close(q.log_policy(torch.rand(4, 3).double(), 0.0), uniform, atol=1e-5, rtol=0)


def test_it_is_the_truncated_normal_distribution_of_scipy() -> None:
    q, beta = _values(6, size=1, seed=5), 2.5
    mean, std = q.mean[:, 0].numpy(), (1 / (beta * q.precision[:, 0]).sqrt()).numpy()
    known = stats.truncnorm((-1 - mean) / std, (1 - mean) / std, mean, std)
    action = np.linspace(-1, 1, 6)
    found = q.log_policy(torch.from_numpy(action)[:, None], beta)
    assert found.numpy() == pytest.approx(known.logpdf(action), abs=1e-9)
    assert -q.expected_log_policy(beta).numpy() == pytest.approx(known.entropy(), abs=1e-8)
    draws = np.linspace(0.01, 0.99, 6)
    assert q.sample(beta, torch.from_numpy(draws)[:, None])[:, 0].numpy() == pytest.approx(known.ppf(draws), abs=1e-9)


@pytest.mark.parametrize(("beta", "seed"), [(0.5, 0), (10.0, 1)])
def test_samples_are_what_is_scored(beta: float, seed: int) -> None:
    q = _values(size=2, seed=seed)
    draws = torch.rand(4000, 2, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    found = q.sample(beta, draws)
    assert found.abs().max() <= 1
    for j in range(2):
        alone = QuadraticValues(torch.zeros(()).double(), q.mean[j : j + 1], q.precision[j : j + 1])
        density = alone.log_policy(GRID[:, None], beta).exp()
        below = torch.cumulative_trapezoid(density, GRID).numpy()
        test = stats.kstest(found[:, j].numpy(), lambda x, below=below: np.interp(x, GRID[1:].numpy(), below))
        assert test.pvalue > 1e-3
    assert abs(np.corrcoef(found.numpy().T)[0, 1]) < 0.05


def test_of_infinite_rationality_the_best_action_is_taken() -> None:
    q = _values(3, size=2)
    assert q.sample(math.inf, torch.rand(3, 2)).equal(q.mean)


def test_the_soft_value_lies_between_mean_and_maximum() -> None:
    q, temperature = _values(size=1, seed=2), 0.7
    values = q.at(GRID[:, None])
    expected = temperature * torch.log(torch.trapezoid((values / temperature).exp(), GRID) / 2)
    assert float(q.soft_value(temperature)) == pytest.approx(float(expected), abs=1e-6)
    assert values.mean() < q.soft_value(temperature) < q.value
    assert float(q.soft_value(1e-6)) == pytest.approx(float(q.value), abs=1e-4)


def test_in_single_precision_a_flat_and_a_sharp_policy_have_finite_gradients() -> None:
    for size in (-30.0, 0.0, 12.0):
        outputs = torch.tensor([0.0, 3.0, size], requires_grad=True)
        q = QuadraticValues.from_outputs(outputs)
        for action in (-1.0, 0.2, 1.0):
            (gradient,) = torch.autograd.grad(q.log_policy(torch.tensor([action]), 5.0), outputs, retain_graph=True)
            assert gradient.isfinite().all()
    near = QuadraticValues(torch.tensor(0.0), torch.tensor([0.0]), torch.tensor([1e4]))
    inside = Normal(0.0, 0.01).log_prob(torch.tensor(0.01))  # so sharp that the bounds do not matter
    torch.testing.assert_close(near.log_policy(torch.tensor([0.01]), 1.0), inside)
