"""Demonstrated actions: the Boltzmann model."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mavrl.feedback.base import FeedbackLikelihood, uniforms
from mavrl.types import DemonstrationBatch


class DemonstrationLikelihood(FeedbackLikelihood[DemonstrationBatch]):
    """p(a | s) = softmax(beta * Q(s, .))_a; a padded step has log-probability 0.

    Args:
        rationality: beta, in units of 1 / Q; 0 is a uniform policy.
    """

    reads = "q"

    def __init__(self, rationality: float) -> None:
        super().__init__()
        self.rationality = rationality

    def of_actions(self, table: Float[Tensor, "*batch A"]) -> Float[Tensor, "*batch A"]:
        """Log-probability of every action."""
        return torch.log_softmax(self.rationality * table, dim=-1)

    def log_prob(self, values: Float[Tensor, "R B"], batch: DemonstrationBatch) -> Float[Tensor, "R B"]:
        return torch.where(batch.transitions.valid, values, torch.zeros_like(values))

    def policy(self, q: Float[Tensor, "*batch A"]) -> Float[Tensor, "*batch A"]:
        """Probability of every action: the policy that a demonstrator rolls out, in float64."""
        return self.of_actions(q.double()).exp()

    def sample(self, q: Float[Tensor, "R B A"], generators: list[torch.Generator]) -> Int[Tensor, "R B"]:
        """An action in each state."""
        cumulative = self.policy(q).cumsum(-1)
        draw = uniforms(generators, cumulative.shape[1])[..., None]
        return (draw >= cumulative[..., :-1]).sum(-1)
