"""Preferences between two segments: the Bradley-Terry model."""

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from mavrl.feedback.base import FeedbackBatch, FeedbackLikelihood, uniforms
from mavrl.feedback.datamodule import SegmentDataModule
from mavrl.simulation.base import Simulated
from mavrl.types import Transitions, segment_mean


@dataclass(frozen=True)
class PreferenceBatch(FeedbackBatch):
    """Pairs of segments and which one was preferred.

    Args:
        transitions: steps of shape (R, B, P=2, T).
        first_preferred: whether the first segment of the pair was preferred.
    """

    kind = "preference"
    transitions: Transitions
    first_preferred: Bool[Tensor, "R B"]

    def __post_init__(self) -> None:
        self.check_layout(ndim=4)
        if self.transitions.action.shape[2] != 2:
            raise ValueError(f"a pair has 2 segments, got shape {tuple(self.transitions.action.shape)}")


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


class PreferenceDataModule(SegmentDataModule[PreferenceBatch]):
    """Pairs of segments, compared by a Bradley-Terry teacher.

    Args:
        teacher_rationality: beta of the simulated teacher.
        model_rationality: beta that the model assumes.
        shared: those of every DataModule about segments.
    """

    kind = "preference"
    answered = PreferenceBatch
    segments_per_sample = 2

    def __init__(self, *, teacher_rationality: float, model_rationality: float, **shared: Any) -> None:
        super().__init__(**shared)
        self.teacher_rationality = teacher_rationality
        self.model_rationality = model_rationality

    def teacher(self, known: Simulated) -> PreferenceLikelihood:
        return PreferenceLikelihood(self.teacher_rationality)

    def teacher_settings(self) -> dict[str, Any]:
        return {"rationality": self.teacher_rationality}

    def likelihood_of_models(self, known_to_model: dict[str, Tensor], n_models: int) -> PreferenceLikelihood:
        return PreferenceLikelihood(self.model_rationality)
