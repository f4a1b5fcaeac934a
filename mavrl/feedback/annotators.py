"""Annotators: what is learned of how well each of them answers, and crowds of simulated ones."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeVar

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.distributions import Bernoulli, Normal, kl_divergence

from mavrl.types import Tensors

Annotators = Literal["learned", "pooled"]
Batch = TypeVar("Batch", bound=Tensors)

SPREAD = 1.0  # standard deviation of the logarithm of what annotators differ in, a priori
UPRIGHT = 0.95  # prior probability that somebody answers the right way round
_FIRST_STD = 0.3  # of the posterior, before anything is learned
_PACE = 3.0  # the way round is found faster than how reliable somebody is, who else would first seem to guess


def of_annotators(values: Float[Tensor, "#R A"], annotator: Int[Tensor, "R B"]) -> Float[Tensor, "R B"]:
    """The value of each sample's annotator; a table of one row serves all replicates."""
    return values.expand(len(annotator), -1).gather(1, annotator)


class LogNormal(nn.Module):
    """Positive numbers, one for each annotator, whose logarithms have a normal prior and a normal posterior.

    Args:
        center: median a priori.
        n_models: R.
        n_annotators: A.
        spread: standard deviation of the logarithm a priori.
        pace: how much faster than other parameters the medians are learned.
    """

    def __init__(
        self, center: float, n_models: int, n_annotators: int, spread: float = SPREAD, pace: float = 1.0
    ) -> None:
        super().__init__()
        self.center, self.spread, self.pace = center, spread, pace
        self.mean = nn.Parameter(torch.zeros(n_models, n_annotators))  # of log(number / center), divided by the pace
        self.log_std = nn.Parameter(torch.full((n_models, n_annotators), math.log(_FIRST_STD)))

    def drawn(self, noise: Float[Tensor, "R A"] | None = None) -> Float[Tensor, "R A"]:
        """Numbers drawn by reparameterisation; the medians without noise."""
        deviation = 0.0 if noise is None else self.log_std.exp() * noise
        return self.center * (self.pace * self.mean + deviation).exp()

    def kl(self) -> Float[Tensor, "R"]:
        """KL from the prior, in nats, of all annotators together."""
        posterior, prior = Normal(self.pace * self.mean, self.log_std.exp()), Normal(0.0, self.spread)
        return kl_divergence(posterior, prior).sum(-1)

    def learned(self) -> dict[str, Float[Tensor, "R A"]]:
        """Median of the posterior, and the standard deviation of its logarithm."""
        return {"": self.drawn().detach(), "_log_std": self.log_std.exp().detach()}


class Reliability(LogNormal):
    """A factor on the rationality of each annotator, around 1; negative for one who answers the wrong way round.

    The factor is a log-normal number times a sign, and both have a posterior. Of one annotator alone it is 1: the
    scale of the reward tells the same.

    Args:
        n_models: R.
        n_annotators: A.
    """

    def __init__(self, n_models: int, n_annotators: int) -> None:
        super().__init__(1.0, n_models, n_annotators)
        self.raw_sign = nn.Parameter(torch.full((n_models, n_annotators), math.log(UPRIGHT / (1 - UPRIGHT)) / _PACE))

    @property
    def n_latents(self) -> int:
        """Standard normal numbers that a draw takes."""
        return 0 if self._alone else self.mean.shape[1]

    @property
    def _alone(self) -> bool:
        return self.mean.shape[1] == 1

    def drawn(self, noise: Float[Tensor, "R L"] | None = None) -> Float[Tensor, "R A"]:
        return torch.ones_like(self.mean) if self._alone else super().drawn(noise)

    def upright(self) -> Float[Tensor, "R A"]:
        """Probability that an annotator answers the right way round."""
        return torch.ones_like(self.mean) if self._alone else (_PACE * self.raw_sign).sigmoid()

    def kl(self) -> Float[Tensor, "R"]:
        if self._alone:
            return self.mean.new_zeros(len(self.mean))
        sign = Bernoulli(logits=_PACE * self.raw_sign)
        return super().kl() + kl_divergence(sign, Bernoulli(torch.full_like(self.mean, UPRIGHT))).sum(-1)

    def learned(self) -> dict[str, Float[Tensor, "R A"]]:
        if self._alone:
            return {}
        return {**super().learned(), "_upright": self.upright().detach()}


@dataclass(frozen=True)
class Crowd:
    """Simulated annotators.

    Args:
        reliability: factor on the rationality of each: 0 for one who does not look, negative for one who answers the
            wrong way round.
        tie: Davidson's nu, how often equal segments are called equal; 0 for never.
        categories: of the scales that are used, one annotator after the other.
        lag: mean steps between what somebody sees and the stop; 0 for none.
    """

    reliability: Sequence[float]
    tie: float = 0.0
    categories: Sequence[int] = ()
    lag: float = 0.0

    def factors(self, n_replicates: int) -> Float[Tensor, "R A"]:
        """The reliabilities, for each replicate."""
        return torch.tensor(list(self.reliability), dtype=torch.float64).repeat(n_replicates, 1)


def count_annotators(known_to_model: Mapping[str, Tensor], annotators: Annotators) -> int:
    """How many annotators are told apart."""
    known = known_to_model.get("annotators")
    return 1 if known is None or annotators == "pooled" else int(known.max())


def pooled(batch: Batch) -> Batch:
    """The batch with all labels by one annotator."""
    return replace(batch, annotator=torch.zeros_like(batch.annotator))  # type: ignore[attr-defined, type-var]
