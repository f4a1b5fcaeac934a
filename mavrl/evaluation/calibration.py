"""Calibration of the posterior: how often its intervals hold the true reward."""

import torch
from jaxtyping import Float
from torch import Tensor

LEVELS = 19  # probabilities of intervals in a curve, equally far apart


def coverage_curve(below: Float[Tensor, "R N"]) -> tuple[Float[Tensor, "L"], Float[Tensor, "R L"]]:
    """Probabilities of central intervals, and the share of the truths in each; as `coverage`."""
    levels = torch.arange(1, LEVELS + 1, dtype=torch.float64) / (LEVELS + 1)
    return levels, torch.stack([coverage(below, level) for level in levels.tolist()], dim=-1)


def coverage(below: Float[Tensor, "R N"], level: float) -> Float[Tensor, "R"]:
    """Share of N numbers that lie in the central interval of what is believed of them.

    Args:
        below: probability of a lower number than the true one, under what is believed.
        level: probability of the interval, in (0, 1).
    """
    return ((below - 0.5).abs() <= level / 2).double().mean(-1)


def probability_below(
    mean: Float[Tensor, "R N"], std: Float[Tensor, "R N"], truth: Float[Tensor, "#R N"]
) -> Float[Tensor, "R N"]:
    """Probability of a lower number than the true one under N(mean, std^2)."""
    return torch.special.ndtr((truth - mean) / std.clamp(min=torch.finfo(std.dtype).tiny))


def share_below(draws: Float[Tensor, "R K N"], truth: Float[Tensor, "#R N"]) -> Float[Tensor, "R N"]:
    """Share of K draws that are lower than the true number; half of those that equal it count, too."""
    truth = truth[:, None]
    return ((draws < truth).double() + 0.5 * (draws == truth).double()).mean(1)
