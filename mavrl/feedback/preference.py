"""Preferences between two segments: the Bradley-Terry model."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from mavrl.feedback.base import FeedbackLikelihood, uniforms
from mavrl.types import PreferenceBatch, Transitions, segment_mean


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

    def sample(
        self, values: Float[Tensor, "R B 2 T"], transitions: Transitions, generators: list[torch.Generator]
    ) -> PreferenceBatch:
        probability = preference_logit(values, transitions.valid, self.rationality).sigmoid()
        draw = uniforms(generators, probability.shape[1])
        return PreferenceBatch(transitions, draw < probability)
