"""Calibration of the posterior: how often its intervals hold the true reward."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

LEVELS = 19  # probabilities of intervals in a curve, equally far apart


def coverage_curve(
    mean: Float[Tensor, "R N"], std: Float[Tensor, "R N"], truth: Float[Tensor, "#R N"]
) -> tuple[Float[Tensor, "L"], Float[Tensor, "R L"]]:
    """Probabilities of central intervals, and the share of the true rewards in each; as `interval_coverage`."""
    levels = torch.arange(1, LEVELS + 1, dtype=torch.float64) / (LEVELS + 1)
    shares = [interval_coverage(mean, std, truth, level) for level in levels.tolist()]
    return levels, torch.stack(shares, dim=-1)


def interval_coverage(
    mean: Float[Tensor, "R S"], std: Float[Tensor, "R S"], truth: Float[Tensor, "#R S"], level: float
) -> Float[Tensor, "R"]:
    """Share of states whose true reward lies in the central interval of N(mean, std^2).

    Args:
        mean: posterior mean of the reward of every state.
        std: posterior standard deviation.
        truth: true reward; one row where all replicates share it.
        level: probability of the interval, in (0, 1).
    """
    half_width = math.sqrt(2) * torch.erfinv(torch.tensor(level, dtype=torch.float64))
    return ((truth - mean).abs() <= half_width * std).double().mean(-1)
