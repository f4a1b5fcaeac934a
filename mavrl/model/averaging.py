"""Posteriors of the same reward, each from other feedback, combined afterwards: a product, and a mixture."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from mavrl.model.tabular_reward import TabularRewardModel


def product_of_posteriors(
    mean: Float[Tensor, "K R S"],
    variance: Float[Tensor, "K R S"],
    prior_mean: Float[Tensor, "S"],
    prior_variance: Float[Tensor, "K R"],
) -> tuple[Float[Tensor, "R S"], Float[Tensor, "R S"]]:
    """Mean and variance of the Gaussian that K posteriors of separate feedback give together, state by state.

    Each posterior is its prior times its likelihood, so each is divided by its own prior, and one prior is multiplied
    back: with the same prior everywhere, the product of all divided by the prior once for each posterior beyond the
    first. Where the priors' variances were learned and differ, the one that remains has their geometric mean. A
    posterior that is wider than its prior says nothing of that state: it is left out there.

    Args:
        mean, variance: of the posteriors.
        prior_mean: of all of them.
        prior_variance: of each of them.
    """
    of_prior = 1 / prior_variance[..., None]
    gained = (1 / variance - of_prior).clamp(min=0)
    shift = (mean / variance - prior_mean * of_prior) * (gained > 0)
    common = of_prior.log().mean(0).exp()
    precision = common + gained.sum(0)
    return (common * prior_mean + shift.sum(0)) / precision, 1 / precision


class AveragedRewardModel(TabularRewardModel):
    """The posteriors of several runs as one: the Gaussians of a product, or, as members, those of a mixture."""

    kind = "averaged"

    @classmethod
    def from_tensors(cls, tensors: dict[str, Tensor], description: dict[str, Any]) -> "AveragedRewardModel":
        """The model with these saved moments."""
        return cls(tensors["mean"], tensors["std"], description)

    def tensors(self) -> dict[str, Tensor]:
        return {"mean": self._mean, "std": self._std}

    def _replicate(self, row: int, number: int) -> "AveragedRewardModel":
        one = slice(row, row + 1)
        return AveragedRewardModel(self._mean[one], self._std[one], self.description, number)


def averaged(
    rule: str, models: list[TabularRewardModel], prior_mean: Float[Tensor, "S"], prior_variance: Float[Tensor, "K R"]
) -> dict[str, Tensor]:
    """Moments of K reward models together, as `AveragedRewardModel` saves them.

    Args:
        rule: "product", of Gaussians with each model's mean and variance; or "mixture", each as probable as the others.
        models: of the same replicates.
        prior_mean, prior_variance: those of `product_of_posteriors`.
    """
    mean = torch.stack([model.mean_table().double() for model in models])
    std = torch.stack([model.std_table().double() for model in models])
    if rule == "mixture":
        return {"mean": mean.transpose(0, 1).float(), "std": std.transpose(0, 1).float()}
    found, variance = product_of_posteriors(mean, std.square(), prior_mean.double(), prior_variance.double())
    return {"mean": found[:, None].float(), "std": variance.sqrt()[:, None].float()}
