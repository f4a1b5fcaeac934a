"""Ratings of segments on ordered scales: the cumulative logit model, of one annotator and of several who differ."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from mavrl.feedback.annotators import SPREAD, Annotators, Crowd, Reliability, count_annotators, of_annotators, pooled
from mavrl.feedback.base import FeedbackBatch, FeedbackLikelihood, LearnedLikelihood, log1mexp, uniforms
from mavrl.feedback.datamodule import SegmentDataModule
from mavrl.simulation.base import Simulated
from mavrl.types import Transitions, segment_mean


@dataclass(frozen=True)
class RatingBatch(FeedbackBatch):
    """Rated segments.

    Args:
        transitions: steps of shape (R, B, T).
        rating: category from 0 (worst) to K - 1.
        scale: number of the scale that it is on.
        annotator: number of who rated.
    """

    kind = "rating"
    transitions: Transitions
    rating: Int[Tensor, "R B"]
    scale: Int[Tensor, "R B"] = None  # type: ignore[assignment]
    annotator: Int[Tensor, "R B"] = None  # type: ignore[assignment]

    def __post_init__(self) -> None:
        self.fill(scale=torch.int64, annotator=torch.int64)
        self.check_layout(ndim=3)


def category_log_probs(
    mean_reward: Float[Tensor, "R B"], first: Float[Tensor, "R #B"], increments: Float[Tensor, "R #B gaps"]
) -> Float[Tensor, "R B gaps+2"]:
    """Log-probability of every category, from p(y <= k) = sigmoid(theta_k - mean reward).

    Between cutpoints a < b, log(sigmoid(b) - sigmoid(a)) = logsigmoid(b) + logsigmoid(-a) + log(1 - exp(-(b - a))):
    nothing cancels, because the increment b - a is known and not a difference of rounded numbers.

    Args:
        first: the lowest cutpoint theta_0.
        increments: distances between neighbouring cutpoints; a category of width 0 has probability 0.
    """
    theta = torch.cat([first[..., None], first[..., None] + increments.cumsum(-1)], dim=-1)
    margin = theta - mean_reward[..., None]
    below, above = torch.nn.functional.logsigmoid(margin), torch.nn.functional.logsigmoid(-margin)
    middle = below[..., 1:] + above[..., :-1] + log1mexp(increments)
    return torch.cat([below[..., :1], middle, above[..., -1:]], dim=-1)


class RatingLikelihood(FeedbackLikelihood[RatingBatch]):
    """p(y <= k) = sigmoid(theta_k - mean reward), with learned ordered cutpoints theta.

    Args:
        first: the lowest cutpoint of each replicate.
        increments: distances between neighbouring cutpoints, at least 0; learned through a softplus.
        noise: scale of the logistic noise of a mean reward, in whose units cutpoints are.
    """

    reads = "reward"

    def __init__(self, first: Float[Tensor, "R"], increments: Float[Tensor, "R gaps"], noise: float = 1.0) -> None:
        super().__init__()
        self.noise = noise
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
    def from_quantiles(
        cls, mean_reward: Float[Tensor, "R N"], n_categories: int, noise: float = 1.0
    ) -> "RatingLikelihood":
        """A teacher who finds each category equally often among segments of these mean rewards."""
        levels = torch.arange(1, n_categories, dtype=torch.float64, device=mean_reward.device) / n_categories
        theta = (mean_reward.double() / noise).quantile(levels, dim=-1).T
        return cls(theta[:, 0], theta.diff(dim=-1).clamp(min=0), noise)

    def increments(self) -> Float[Tensor, "R gaps"]:
        return torch.nn.functional.softplus(self.raw_increments).clamp(min=1e-30)  # log of it stays finite

    def outcomes(self, values: Float[Tensor, "R B T"], transitions: Transitions) -> Float[Tensor, "R B K"]:
        """Log-probability of every category for each segment."""
        mean_reward = segment_mean(values, transitions.valid) / self.noise
        return category_log_probs(mean_reward, self.first_cutpoint[:, None], self.increments()[:, None])

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


class AnnotatedRatingLikelihood(FeedbackLikelihood[RatingBatch]):
    """p(y <= k) = sigmoid(theta_k - w * mean reward), with cutpoints theta of each annotator and scale.

    Args:
        reliability: w of each annotator; negative for one who rates the wrong way round.
        first: the lowest cutpoint of each annotator and scale.
        increments: distances between neighbouring cutpoints; those above a scale's highest are `FAR`.
        categories: of each scale.
        upright: probability that the sign of w is right; the log-probability of a label is its mean over both signs.
            None where the sign is known.
    """

    FAR: ClassVar[float] = 60.0  # a cutpoint that nobody reaches
    reads = "reward"

    def __init__(
        self,
        reliability: Float[Tensor, "R A"],
        first: Float[Tensor, "R A C"],
        increments: Float[Tensor, "R A C gaps"],
        categories: Sequence[int],
        upright: Float[Tensor, "R A"] | None = None,
    ) -> None:
        super().__init__()
        self.reliability, self.first, self.increments = reliability, first, increments
        self.categories, self.upright = list(categories), upright

    @classmethod
    def from_quantiles(
        cls, mean_reward: Float[Tensor, "R N"], reliability: Float[Tensor, "R A"], categories: Sequence[int]
    ) -> "AnnotatedRatingLikelihood":
        """Annotators who find each category of a scale equally often among segments of these mean rewards."""
        n_gaps = max(categories) - 2
        first, increments = [], []
        for count in categories:
            teacher = RatingLikelihood.from_quantiles(mean_reward, count)
            of_scale = teacher.increments().detach().double()
            first.append(teacher.first_cutpoint.detach().double())
            increments.append(torch.nn.functional.pad(of_scale, (0, n_gaps - of_scale.shape[-1]), value=cls.FAR))
        shape = *reliability.shape, len(categories)
        of_each = torch.stack(first, dim=1)[:, None].expand(shape)
        return cls(reliability, of_each, torch.stack(increments, dim=1)[:, None].expand(*shape, -1), categories)

    def answers(
        self,
        values: Float[Tensor, "R B T"],
        transitions: Transitions,
        annotator: Int[Tensor, "R B"],
        scale: Int[Tensor, "R B"],
    ) -> Float[Tensor, "R B K"]:
        """Log-probability of every category, of these annotators on these scales."""
        row = torch.arange(len(annotator), device=values.device)[:, None]
        first, increments = (table.to(values.dtype)[row, annotator, scale] for table in (self.first, self.increments))
        seen = of_annotators(self.reliability.to(values.dtype), annotator) * segment_mean(values, transitions.valid)
        right = category_log_probs(seen, first, increments)
        if self.upright is None:
            return right
        upright = of_annotators(self.upright, annotator)[..., None]
        return upright * right + (1 - upright) * category_log_probs(-seen, first, increments)

    def log_prob(self, values: Float[Tensor, "R B T"], batch: RatingBatch) -> Float[Tensor, "R B"]:
        answers = self.answers(values, batch.transitions, batch.annotator, batch.scale)
        return answers.gather(-1, batch.rating[..., None]).squeeze(-1)

    def outcomes(self, values: Float[Tensor, "R B T"], transitions: Transitions) -> Float[Tensor, "R B K"]:
        """Log-probability of every category of the first scale, of an annotator drawn at random."""
        shape, n_annotators = transitions.valid.shape[:2], self.reliability.shape[1]
        each = [torch.full(shape, number, device=values.device) for number in range(n_annotators)]
        answers = [self.answers(values, transitions, number, torch.zeros_like(number)) for number in each]
        return torch.stack(answers).logsumexp(0) - math.log(n_annotators)

    def sample(
        self, values: Float[Tensor, "R B T"], transitions: Transitions, generators: list[torch.Generator]
    ) -> RatingBatch:
        """Ratings by annotators drawn at random; the scales go round among them."""
        draw = uniforms(generators, values.shape[1], 2)
        annotator = (draw[..., 0] * self.reliability.shape[1]).long()
        scale = annotator % len(self.categories)
        cumulative = self.answers(values.double(), transitions, annotator, scale).exp().cumsum(-1)
        rating = (draw[..., 1:] >= cumulative[..., :-1]).sum(-1)
        highest = torch.tensor(self.categories, device=rating.device)[scale] - 1
        return RatingBatch(transitions, torch.minimum(rating, highest), scale, annotator)

    def known_to_model(self) -> dict[str, Tensor]:
        """How many annotators there are, and the categories of each scale."""
        n_replicates, n_annotators = self.reliability.shape
        categories = torch.tensor(self.categories).repeat(n_replicates, 1)
        return {"annotators": torch.full((n_replicates,), n_annotators), "categories": categories}


class LearnedRatingLikelihood(LearnedLikelihood[RatingBatch]):
    """The same where nobody knows how annotators rate.

    The factor w of each has a posterior (`Reliability`). Cutpoints are point estimates: those of a scale, and each
    annotator's normal deviations from them, so that few ratings are read like those of others.

    Args:
        counts: ratings of each category of each scale, by all annotators.
        categories: of each scale.
        n_annotators: A.
    """

    reads = "reward"
    there: Tensor  # which increments a scale has

    def __init__(self, counts: Float[Tensor, "R C K"], categories: Sequence[int], n_annotators: int) -> None:
        super().__init__()
        n_models, n_scales, most = counts.shape
        self.categories = list(categories)
        self.reliability = Reliability(n_models, n_annotators)
        each = [RatingLikelihood.from_counts(counts[:, c, :count]) for c, count in enumerate(categories)]
        raw = [torch.nn.functional.pad(one.raw_increments, (0, most - categories[c])) for c, one in enumerate(each)]
        self.first_cutpoint = nn.Parameter(torch.stack([one.first_cutpoint for one in each], dim=1).detach())
        self.raw_increments = nn.Parameter(torch.stack(raw, dim=1).detach())
        self.first_deviation = nn.Parameter(torch.zeros(n_models, n_annotators, n_scales))
        self.raw_deviation = nn.Parameter(torch.zeros(n_models, n_annotators, n_scales, most - 2))
        there = torch.arange(most - 2) < torch.tensor(self.categories)[:, None] - 2
        self.register_buffer("there", there, persistent=False)

    @property
    def n_latents(self) -> int:
        return self.reliability.n_latents

    def drawn(self, noise: Float[Tensor, "R L"] | None = None) -> AnnotatedRatingLikelihood:
        first = self.first_cutpoint[:, None] + self.first_deviation
        increments = torch.nn.functional.softplus(self.raw_increments[:, None] + self.raw_deviation).clamp(min=1e-30)
        increments = torch.where(self.there, increments, AnnotatedRatingLikelihood.FAR)
        factor, upright = self.reliability.drawn(noise), self.reliability.upright()
        return AnnotatedRatingLikelihood(factor, first, increments, self.categories, upright)

    def kl(self) -> Float[Tensor, "R"]:
        deviations = torch.cat([self.first_deviation.flatten(1), self.raw_deviation.flatten(1)], dim=1)
        return self.reliability.kl() + 0.5 * (deviations / SPREAD).square().sum(-1)

    def learned(self) -> dict[str, Float[Tensor, "R A"]]:
        return {f"reliability{name}": each for name, each in self.reliability.learned().items()}


class RatingDataModule(SegmentDataModule[RatingBatch]):
    """Segments rated by a cumulative logit teacher whose categories are equally frequent.

    Args:
        n_categories: K; of the scale with most of them where there are several.
        teacher_noise: scale of the simulated teacher's logistic noise, in units of the mean reward.
        annotators: whether what each is like is "learned", or all are "pooled": taken to rate alike.
        shared: those of every DataModule about segments.
    """

    kind = "rating"
    answered = RatingBatch
    calibrated = True

    def __init__(
        self, *, n_categories: int, teacher_noise: float = 1.0, annotators: Annotators = "learned", **shared: Any
    ) -> None:
        super().__init__(**shared)
        self.teacher_noise = teacher_noise
        self.annotators: Annotators = annotators
        self.n_categories = n_categories

    def teacher(self, known: Simulated) -> RatingLikelihood:
        mean_reward = segment_mean(known.reward, known.transitions.valid)
        return RatingLikelihood.from_quantiles(mean_reward, self.n_categories, self.teacher_noise)

    def teacher_settings(self) -> dict[str, Any]:
        noise = {} if self.teacher_noise == 1 else {"noise": self.teacher_noise}
        return {"n_categories": self.n_categories, **noise}

    def crowd(self, known: Simulated, crowd: Crowd) -> AnnotatedRatingLikelihood:
        mean_reward = segment_mean(known.reward, known.transitions.valid)
        categories = list(crowd.categories) or [self.n_categories]
        factors = crowd.factors(len(mean_reward)) / self.teacher_noise
        return AnnotatedRatingLikelihood.from_quantiles(mean_reward / self.teacher_noise, factors, categories)

    def batch_of(self, answered: RatingBatch) -> RatingBatch:
        return pooled(answered) if self.annotators == "pooled" else answered

    def likelihood_of_models(
        self, known_to_model: dict[str, Tensor], n_models: int
    ) -> RatingLikelihood | LearnedRatingLikelihood:
        n_annotators = count_annotators(known_to_model, self.annotators)
        categories = known_to_model["categories"][0].tolist() if "categories" in known_to_model else [self.n_categories]
        counts = self._counts(categories)
        counts = counts.repeat_interleave(n_models // len(counts), dim=0)
        if n_annotators == 1 and len(categories) == 1:
            return RatingLikelihood.from_counts(counts[:, 0])
        return LearnedRatingLikelihood(counts, categories, n_annotators)

    def _counts(self, categories: list[int]) -> Float[Tensor, "R C K"]:
        """Ratings of each category of each scale to learn from."""
        given, most = self.sets.get("train"), max(categories)
        if given is None:
            return torch.zeros(1, len(categories), most)
        n_cells = len(categories) * most
        cell = torch.where(given.valid_samples, given.scale * most + given.rating, n_cells)
        found = torch.nn.functional.one_hot(cell, n_cells + 1).sum(1)[:, :n_cells].float()
        return found.unflatten(1, (len(categories), most))
