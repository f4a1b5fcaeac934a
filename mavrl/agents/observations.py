"""Observations of mean 0 and variance 1, by running moments as Stable-Baselines3's VecNormalize keeps them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from mavrl.policies.storing import Layers

_LARGEST, _LEAST_VARIANCE = 10.0, 1e-8


@dataclass(frozen=True)
class RunningMoments:
    """Mean and variance of each feature of all observations so far (Chan et al. 1979).

    Args:
        mean, variance: with any axes before those of features.
        count: observations so far, with those axes.
    """

    mean: Float[np.ndarray, "*R O"]
    variance: Float[np.ndarray, "*R O"]
    count: Float[np.ndarray, "*R"]

    @classmethod
    def begin(cls, size: int) -> "RunningMoments":
        """Those before the first observation."""
        return cls(np.zeros(size), np.ones(size), np.array(1e-4))

    @classmethod
    def stacked(cls, each: Sequence["RunningMoments"]) -> "RunningMoments":
        """Those of several replicates, along a first axis."""
        return cls(*(np.stack([getattr(one, k) for one in each]) for k in ("mean", "variance", "count")))

    def __getitem__(self, index: int) -> "RunningMoments":
        """Those of one replicate."""
        return RunningMoments(self.mean[index], self.variance[index], np.array(self.count[index]))

    def updated(self, seen: Float[np.ndarray, "*R N O"]) -> "RunningMoments":
        """The moments with N more observations."""
        seen, n = seen.astype(np.float64), seen.shape[-2]
        before, total = self.count[..., None], self.count[..., None] + n
        mean = seen.mean(-2)
        variance = np.square(seen - mean[..., None, :]).mean(-2)
        off = mean - self.mean
        squares = self.variance * before + variance * n + off * off * before * n / total
        return RunningMoments(self.mean + off * n / total, squares / total, total[..., 0])

    def standardized(self, seen: Float[np.ndarray, "*R N O"]) -> Float[np.ndarray, "*R N O"]:
        """Observations as networks see them, clipped at 10."""
        scaled = (seen - self.mean[..., None, :]) / self._deviation[..., None, :]
        return np.clip(scaled, -_LARGEST, _LARGEST).astype(np.float32)

    def folded(self, layers: Layers) -> Layers:
        """The layers of a network of standardized observations, as one of observations, which clips nothing."""
        (weight, bias), *others = layers
        mean, deviation = torch.from_numpy(self.mean), torch.from_numpy(self._deviation)
        scaled = weight.double() / deviation
        return [(scaled, bias.double() - scaled @ mean), *others]

    @property
    def _deviation(self) -> Float[np.ndarray, "*R O"]:
        return np.sqrt(self.variance + _LEAST_VARIANCE)

    def state(self) -> dict[str, Tensor]:
        """Tensors only, for a checkpoint."""
        return {k: torch.from_numpy(np.array(getattr(self, k))) for k in ("mean", "variance", "count")}

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> "RunningMoments":
        """What `state` returned."""
        return cls(**{name: tensor.numpy() for name, tensor in state.items()})
