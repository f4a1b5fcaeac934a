"""Metrics per replicate, and their means with standard errors."""

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor


def mean_and_stderr(values: Float[Tensor, "R"], keep: Bool[Tensor, "R"]) -> tuple[float, float | None]:
    """Mean and standard error over the kept replicates; the error is None for fewer than two."""
    kept = values.double()[keep]
    if len(kept) < 2:
        return kept.mean().item(), None
    return kept.mean().item(), kept.std().item() / math.sqrt(len(kept))


def to_numbers(values: Float[Tensor, "R"]) -> list[float]:
    return [float(value) for value in torch.as_tensor(values).double()]
