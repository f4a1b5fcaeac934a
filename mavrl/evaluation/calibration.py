"""Calibration of the posterior: how often its intervals hold the true reward."""

import math

import torch
from jaxtyping import Float
from torch import Tensor


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
