"""Preferences between two segments: the Bradley-Terry model, and Davidson's for annotators who differ."""

import math
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from mavrl.feedback.annotators import SPREAD, Annotators, Crowd, Reliability, count_annotators, of_annotators, pooled
from mavrl.feedback.base import FeedbackBatch, FeedbackLikelihood, LearnedLikelihood, uniforms
from mavrl.feedback.datamodule import SegmentDataModule
from mavrl.simulation.base import Simulated
from mavrl.types import Transitions, segment_mean


@dataclass(frozen=True)
class PreferenceBatch(FeedbackBatch):
    """Pairs of segments and which one was preferred.

    Args:
        transitions: steps of shape (R, B, P=2, T).
        first_preferred: whether the first segment of the pair was preferred.
        equal: whether neither was.
        annotator: number of who answered.
    """

    kind = "preference"
    transitions: Transitions
    first_preferred: Bool[Tensor, "R B"]
    equal: Bool[Tensor, "R B"] = None  # type: ignore[assignment]
    annotator: Int[Tensor, "R B"] = None  # type: ignore[assignment]

    def __post_init__(self) -> None:
        self.fill(equal=torch.bool, annotator=torch.int64)
        self.check_layout(ndim=4)
        if self.transitions.valid.shape[2] != 2:
            raise ValueError(f"a pair has 2 segments, got shape {tuple(self.transitions.valid.shape)}")


def preference_logit(
    reward: Float[Tensor, "*batch 2 T"], valid: Bool[Tensor, "*batch 2 T"], rationality: float
) -> Float[Tensor, "*batch"]:
    """Log-odds that the first segment is preferred: rationality times the difference of the mean rewards."""
    mean = segment_mean(reward, valid)
    return rationality * (mean[..., 0] - mean[..., 1])


class PreferenceLikelihood(FeedbackLikelihood[PreferenceBatch]):
    """p(first preferred) = sigmoid(beta * (mean reward of the first - of the second)).

    Args:
        rationality: beta, in units of 1 / reward; 0 is a coin flip.
    """

    reads = "reward"

    def __init__(self, rationality: float) -> None:
        super().__init__()
        self.rationality = rationality

    def log_prob(self, values: Float[Tensor, "R B 2 T"], batch: PreferenceBatch) -> Float[Tensor, "R B"]:
        logit = preference_logit(values, batch.transitions.valid, self.rationality)
        return torch.nn.functional.logsigmoid(torch.where(batch.first_preferred, logit, -logit))

    def outcomes(self, values: Float[Tensor, "R B 2 T"], transitions: Transitions) -> Float[Tensor, "R B Y=2"]:
        """Log-probability that the first is not preferred, and that it is."""
        logit = preference_logit(values, transitions.valid, self.rationality)
        return torch.nn.functional.logsigmoid(torch.stack([-logit, logit], dim=-1))

    def sample(
        self, values: Float[Tensor, "R B 2 T"], transitions: Transitions, generators: list[torch.Generator]
    ) -> PreferenceBatch:
        probability = preference_logit(values, transitions.valid, self.rationality).sigmoid()
        draw = uniforms(generators, probability.shape[1])
        return PreferenceBatch(transitions, draw < probability)


def davidson(logit: Float[Tensor, "*batch"], tie: Float[Tensor, "*batch"] | None) -> Float[Tensor, "*batch Y"]:
    """Log-probability that the second is preferred, that the first is, and, where ties are possible, that neither is.

    The probabilities are as exp(-logit / 2), exp(logit / 2) and nu: Davidson (1970), "On extending the Bradley-Terry
    model to accommodate ties in paired comparison experiments".

    Args:
        logit: log-odds of the first against the second.
        tie: nu > 0, the odds of a tie against either of two equal segments; None where there are no ties.
    """
    if tie is None:
        return torch.nn.functional.logsigmoid(torch.stack([-logit, logit], dim=-1))
    return torch.log_softmax(torch.stack([-logit / 2, logit / 2, tie.log()], dim=-1), dim=-1)


class AnnotatedPreferenceLikelihood(FeedbackLikelihood[PreferenceBatch]):
    """Davidson's model with a rationality of each annotator.

    Args:
        rationality: beta of each, in units of 1 / reward; negative for one who answers the wrong way round.
        tie: nu of each; None where there are no ties.
        upright: probability that the sign of the rationality is right; the log-probability of a label is its mean
            over both signs. None where the sign is known.
    """

    reads = "reward"

    def __init__(
        self,
        rationality: Float[Tensor, "R A"],
        tie: Float[Tensor, "R A"] | None = None,
        upright: Float[Tensor, "R A"] | None = None,
    ) -> None:
        super().__init__()
        self.rationality, self.tie, self.upright = rationality, tie, upright

    def answers(
        self, values: Float[Tensor, "R B 2 T"], transitions: Transitions, annotator: Int[Tensor, "R B"]
    ) -> Float[Tensor, "R B Y"]:
        """Log-probability of each answer of these annotators, in the order of `davidson`."""
        difference = preference_logit(values, transitions.valid, 1.0)
        logit = of_annotators(self.rationality.to(values.dtype), annotator) * difference
        tie = None if self.tie is None else of_annotators(self.tie.to(values.dtype), annotator)
        right = davidson(logit, tie)
        if self.upright is None:
            return right
        upright = of_annotators(self.upright, annotator)[..., None]
        return upright * right + (1 - upright) * davidson(-logit, tie)

    def log_prob(self, values: Float[Tensor, "R B 2 T"], batch: PreferenceBatch) -> Float[Tensor, "R B"]:
        answers = self.answers(values, batch.transitions, batch.annotator)
        choice = torch.where(batch.equal, 2, batch.first_preferred.long())
        return answers.gather(-1, choice[..., None]).squeeze(-1)

    def outcomes(self, values: Float[Tensor, "R B 2 T"], transitions: Transitions) -> Float[Tensor, "R B Y"]:
        """Log-probability that the second, the first, or neither is preferred, of an annotator drawn at random."""
        shape, n_annotators = transitions.valid.shape[:2], self.rationality.shape[1]
        each = [torch.full(shape, number, device=values.device) for number in range(n_annotators)]
        answers = torch.stack([self.answers(values, transitions, annotator) for annotator in each])
        return answers.logsumexp(0) - math.log(n_annotators)

    def sample(
        self, values: Float[Tensor, "R B 2 T"], transitions: Transitions, generators: list[torch.Generator]
    ) -> PreferenceBatch:
        """Labels of annotators drawn at random, too."""
        draw = uniforms(generators, values.shape[1], 2)
        annotator = (draw[..., 0] * self.rationality.shape[1]).long()
        cumulative = self.answers(values.double(), transitions, annotator).exp().cumsum(-1)
        choice = (draw[..., 1:] >= cumulative[..., :-1]).sum(-1)
        return PreferenceBatch(transitions, choice == 1, choice == 2, annotator)

    def known_to_model(self) -> dict[str, Tensor]:
        """How many annotators there are, and whether there are ties."""
        annotators = torch.full(self.rationality.shape[:1], self.rationality.shape[1])
        return {"annotators": annotators, "ties": torch.full_like(annotators, int(self.tie is not None))}


class LearnedPreferenceLikelihood(LearnedLikelihood[PreferenceBatch]):
    """The same where nobody knows how annotators answer.

    The factor on each one's rationality has a posterior (`Reliability`); nu of each is a point estimate under a
    log-normal prior around 1.

    Args:
        rationality: beta of an annotator whose factor is 1, in units of 1 / reward.
        n_models: R.
        n_annotators: A.
        ties: whether there are any.
    """

    reads = "reward"

    def __init__(self, rationality: float, n_models: int, n_annotators: int, ties: bool) -> None:
        super().__init__()
        self.rationality = rationality
        self.reliability = Reliability(n_models, n_annotators)
        self.log_tie = nn.Parameter(torch.zeros(n_models, n_annotators)) if ties else None

    @property
    def n_latents(self) -> int:
        return self.reliability.n_latents

    def drawn(self, noise: Float[Tensor, "R L"] | None = None) -> AnnotatedPreferenceLikelihood:
        rationality = self.rationality * self.reliability.drawn(noise)
        tie = None if self.log_tie is None else self.log_tie.exp()
        return AnnotatedPreferenceLikelihood(rationality, tie, self.reliability.upright())

    def kl(self) -> Float[Tensor, "R"]:
        of_ties = 0.0 if self.log_tie is None else 0.5 * (self.log_tie / SPREAD).square().sum(-1)
        return self.reliability.kl() + of_ties

    def learned(self) -> dict[str, Float[Tensor, "R A"]]:
        ties = {} if self.log_tie is None else {"tie": self.log_tie.detach().exp()}
        return {**{f"reliability{name}": each for name, each in self.reliability.learned().items()}, **ties}


class PreferenceDataModule(SegmentDataModule[PreferenceBatch]):
    """Pairs of segments, compared by a Bradley-Terry teacher.

    Args:
        teacher_rationality: beta of the simulated teacher.
        model_rationality: beta that the model assumes, of an annotator as reliable as most where there are several.
        annotators: whether what each is like is "learned", or all are "pooled": taken to answer alike.
        shared: those of every DataModule about segments.
    """

    kind = "preference"
    answered = PreferenceBatch
    segments_per_sample = 2

    def __init__(
        self,
        *,
        teacher_rationality: float,
        model_rationality: float,
        annotators: Annotators = "learned",
        **shared: Any,
    ) -> None:
        super().__init__(**shared)
        self.annotators: Annotators = annotators
        self.teacher_rationality = teacher_rationality
        self.model_rationality = model_rationality

    def teacher(self, known: Simulated) -> PreferenceLikelihood:
        return PreferenceLikelihood(self.teacher_rationality)

    def crowd(self, known: Simulated, crowd: Crowd) -> AnnotatedPreferenceLikelihood:
        rationality = self.teacher_rationality * crowd.factors(len(known.reward))
        return AnnotatedPreferenceLikelihood(
            rationality, torch.full_like(rationality, crowd.tie) if crowd.tie else None
        )

    def teacher_settings(self) -> dict[str, Any]:
        return {"rationality": self.teacher_rationality}

    def batch_of(self, answered: PreferenceBatch) -> PreferenceBatch:
        return pooled(answered) if self.annotators == "pooled" else answered

    def likelihood_of_models(
        self, known_to_model: dict[str, Tensor], n_models: int
    ) -> PreferenceLikelihood | LearnedPreferenceLikelihood:
        n_annotators = count_annotators(known_to_model, self.annotators)
        ties = "ties" in known_to_model and bool(known_to_model["ties"].any())
        if n_annotators == 1 and not ties:
            return PreferenceLikelihood(self.model_rationality)
        return LearnedPreferenceLikelihood(self.model_rationality, n_models, n_annotators, ties)
