"""Coverage of the posterior's intervals."""

import pytest
import torch

from mavrl.evaluation.calibration import coverage, coverage_curve, probability_below, share_below


def test_by_hand():
    # 95 %: 1.96 standard deviations. Errors of 0, 1.95, 1.97 and 5 at std 1: two of four are inside. With std 2 in the
    # second replicate half-width 3.92: three of four.
    mean = torch.zeros(2, 4)
    std = torch.tensor([[1.0], [2.0]]).expand(2, 4)
    truth = torch.tensor([[0.0, 1.95, -1.97, 5.0]])
    assert coverage(probability_below(mean, std, truth), 0.95).tolist() == [0.5, 0.75]


@pytest.mark.parametrize(("level", "half_width"), [(0.5, 0.67449), (0.6827, 1.0000), (0.9, 1.64485), (0.99, 2.57583)])
def test_half_widths_of_the_normal(level, half_width):
    errors = torch.tensor([[half_width - 1e-3, half_width + 1e-3]])
    assert coverage(probability_below(torch.zeros(1, 2), torch.ones(1, 2), errors), level).item() == 0.5


@pytest.mark.parametrize("level", [0.5, 0.9, 0.95])
def test_right_uncertainty_covers_as_often_as_it_says(level):
    n = 100_000
    mean, std = torch.randn(2, n), torch.rand(2, n) + 0.1
    truth = mean + std * torch.randn(2, n)
    covered = coverage(probability_below(mean, std, truth), level)
    standard_error = (level * (1 - level) / n) ** 0.5
    assert (covered - level).abs().max() < 4.5 * standard_error


def test_certain_and_right():
    assert coverage(probability_below(torch.ones(1, 3), torch.zeros(1, 3), torch.ones(1, 3)), 0.9).item() == 1


def test_certain_and_wrong():
    assert coverage(probability_below(torch.ones(1, 3), torch.full((1, 3), 1e-9), torch.zeros(1, 3)), 0.9).item() == 0


def test_a_curve_has_the_coverage_of_each_level():
    mean, std, truth = torch.randn(2, 50), torch.rand(2, 50), torch.randn(1, 50)
    below = probability_below(mean, std, truth)
    levels, shares = coverage_curve(below)
    assert levels.tolist() == pytest.approx([0.05 * k for k in range(1, 20)])
    assert torch.equal(shares[:, 9], coverage(below, 0.5))
    assert (shares.diff(dim=-1) >= 0).all()


def test_draws_count_those_below_and_half_of_those_that_are_equal():
    draws = torch.tensor([[[0.0, 5.0], [1.0, 5.0], [2.0, 5.0], [3.0, 5.0]]])
    assert share_below(draws, torch.tensor([[1.0, 6.0]])).tolist() == [[0.375, 1.0]]


def test_many_draws_are_as_their_normal_distribution():
    mean, std, truth = torch.randn(2, 5).double(), torch.rand(2, 5).double() + 0.5, torch.randn(1, 5).double()
    draws = mean[:, None] + std[:, None] * torch.randn(2, 40_000, 5).double()
    assert torch.allclose(share_below(draws, truth), probability_below(mean, std, truth), atol=0.02)
