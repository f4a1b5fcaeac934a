"""Ratings of segments on an ordered scale: the cumulative logit model."""

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from mavrl.feedback.base import FeedbackBatch, FeedbackLikelihood, log1mexp, uniforms
from mavrl.feedback.datamodule import SegmentDataModule
from mavrl.simulation.base import Simulated
from mavrl.types import Transitions, segment_mean


@dataclass(frozen=True)
class RatingBatch(FeedbackBatch):
    """Rated segments.

    Args:
        transitions: steps of shape (R, B, T).
        rating: category from 0 (worst) to K - 1.
    """

    kind = "rating"
    transitions: Transitions
    rating: Int[Tensor, "R B"]

    def __post_init__(self) -> None:
        self.check_layout(ndim=3)


def category_log_probs(
    mean_reward: Float[Tensor, "R B"], first: Float[Tensor, "R"], increments: Float[Tensor, "R gaps"]
) -> Float[Tensor, "R B gaps+2"]:
    """Log-probability of every category, from p(y <= k) = sigmoid(theta_k - mean reward).

    Between cutpoints a < b, log(sigmoid(b) - sigmoid(a)) = logsigmoid(b) + logsigmoid(-a) + log(1 - exp(-(b - a))):
    nothing cancels, because the increment b - a is known and not a difference of rounded numbers.

    Args:
        first: the lowest cutpoint theta_0.
        increments: distances between neighbouring cutpoints; a category of width 0 has probability 0.
    """
    theta = torch.cat([first[:, None], first[:, None] + increments.cumsum(-1)], dim=-1)
    margin = theta[:, None, :] - mean_reward[..., None]
    below, above = torch.nn.functional.logsigmoid(margin), torch.nn.functional.logsigmoid(-margin)
    middle = below[..., 1:] + above[..., :-1] + log1mexp(increments)[:, None, :]
    return torch.cat([below[..., :1], middle, above[..., -1:]], dim=-1)


class RatingLikelihood(FeedbackLikelihood[RatingBatch]):
    """p(y <= k) = sigmoid(theta_k - mean reward), with learned ordered cutpoints theta.

    Args:
        first: the lowest cutpoint of each replicate.
        increments: distances between neighbouring cutpoints, at least 0; learned through a softplus.
    """

    reads = "reward"

    def __init__(self, first: Float[Tensor, "R"], increments: Float[Tensor, "R gaps"]) -> None:
        super().__init__()
        self.first_cutpoint = nn.Parameter(first.clone().float())
        raw = increments.double() + torch.log(-torch.expm1(-increments.double()))  # the inverse of softplus
        self.raw_increments = nn.Parameter(raw.float())

    @classmethod
    def from_counts(cls, counts: Float[Tensor, "R K"]) -> "RatingLikelihood":
        """Cutpoints that give a segment of mean reward 0 each category as often as it is counted, and half a time more.

        The half is that of Jeffreys' prior, without which a category that nobody gave would have no width.
        """
        smoothed = counts.double() + 0.5
        theta = (smoothed.cumsum(-1) / smoothed.sum(-1, keepdim=True))[:, :-1].logit()
        return cls(theta[:, 0], theta.diff(dim=-1))

    @classmethod
    def from_quantiles(cls, mean_reward: Float[Tensor, "R N"], n_categories: int) -> "RatingLikelihood":
        """A teacher who finds each category equally often among segments of these mean rewards."""
        levels = torch.arange(1, n_categories, dtype=torch.float64, device=mean_reward.device) / n_categories
        theta = mean_reward.double().quantile(levels, dim=-1).T
        return cls(theta[:, 0], theta.diff(dim=-1).clamp(min=0))

    def increments(self) -> Float[Tensor, "R gaps"]:
        return torch.nn.functional.softplus(self.raw_increments).clamp(min=1e-30)  # log of it stays finite

    def outcomes(self, values: Float[Tensor, "R B T"], transitions: Transitions) -> Float[Tensor, "R B K"]:
        """Log-probability of every category for each segment."""
        mean_reward = segment_mean(values, transitions.valid)
        return category_log_probs(mean_reward, self.first_cutpoint, self.increments())

    def log_prob(self, values: Float[Tensor, "R B T"], batch: RatingBatch) -> Float[Tensor, "R B"]:
        log_probs = self.outcomes(values, batch.transitions)
        return log_probs.gather(-1, batch.rating[..., None]).squeeze(-1)

    def sample(
        self, values: Float[Tensor, "R B T"], transitions: Transitions, generators: list[torch.Generator]
    ) -> RatingBatch:
        cumulative = self.outcomes(values, transitions).double().exp().cumsum(-1)
        draw = uniforms(generators, cumulative.shape[1])[..., None]
        rating: Int[Tensor, "R B"] = (draw >= cumulative[..., :-1]).sum(-1)
        return RatingBatch(transitions, rating)


class RatingDataModule(SegmentDataModule[RatingBatch]):
    """Segments rated by a cumulative logit teacher whose categories are equally frequent.

    Args:
        n_categories: K.
        shared: those of every DataModule about segments.
    """

    kind = "rating"
    answered = RatingBatch
    calibrated = True

    def __init__(self, *, n_categories: int, **shared: Any) -> None:
        super().__init__(**shared)
        self.n_categories = n_categories

    def teacher(self, known: Simulated) -> RatingLikelihood:
        return RatingLikelihood.from_quantiles(segment_mean(known.reward, known.transitions.valid), self.n_categories)

    def teacher_settings(self) -> dict[str, Any]:
        return {"n_categories": self.n_categories}

    def likelihood_of_models(self, known_to_model: dict[str, Tensor], n_models: int) -> RatingLikelihood:
        given, counts = self.sets.get("train"), torch.zeros(1, self.n_categories)
        if given is not None:
            of_each = torch.nn.functional.one_hot(given.rating, self.n_categories) * given.valid_samples[..., None]
            counts = of_each.sum(1).float()
        return RatingLikelihood.from_counts(counts.repeat_interleave(n_models // len(counts), dim=0))
