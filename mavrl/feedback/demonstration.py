"""Demonstrated episodes: the Boltzmann model of each action."""

import math
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from mavrl.feedback.base import FeedbackBatch, FeedbackLikelihood, uniforms
from mavrl.feedback.datamodule import FeedbackDataModule
from mavrl.quadratic import QuadraticValues
from mavrl.simulation.base import Behaviour, Simulated, Simulator, Stream
from mavrl.types import Transitions


@dataclass(frozen=True)
class DemonstratedEpisodes(FeedbackBatch):
    """Whole episodes of a demonstrator, padded to the longest: shape (R, B, T). The label is the behaviour itself."""

    kind = "demonstration"
    transitions: Transitions

    def __post_init__(self) -> None:
        self.check_layout(ndim=3)

    def steps(self) -> "DemonstrationBatch":
        """Steps of all episodes end to end; the padding comes after them, as much as the longest replicate needs."""
        steps = self.transitions.flatten()
        order = torch.argsort(steps.valid.int(), dim=1, descending=True, stable=True)
        return DemonstrationBatch(steps.take(order[:, : int(steps.valid.sum(1).max())]))


@dataclass(frozen=True)
class DemonstrationBatch(FeedbackBatch):
    """Steps of demonstrated episodes, one sample a step: shape (R, B). The label is the action itself."""

    kind = "demonstration"
    transitions: Transitions

    def __post_init__(self) -> None:
        self.check_layout(ndim=2)


class DemonstrationLikelihood(FeedbackLikelihood[DemonstrationBatch]):
    """p(a | s) = softmax(beta * Q(s, .))_a; a padded step has log-probability 0.

    Where actions are vectors it is a density: that of a truncated normal distribution (`mavrl.quadratic`).

    Args:
        rationality: beta, in units of 1 / Q; 0 is a uniform policy.
    """

    reads = "q"
    answers_are_actions = True

    def __init__(self, rationality: float) -> None:
        super().__init__()
        self.rationality = rationality

    def of_actions(self, table: Float[Tensor, "*batch A"]) -> Float[Tensor, "*batch A"]:
        """Log-probability of every action."""
        return torch.log_softmax(self.rationality * table, dim=-1)

    def of_vectors(self, q: QuadraticValues, action: Float[Tensor, "*batch D"]) -> Float[Tensor, "*batch"]:
        """Log-density of the action taken, in the unit box."""
        return q.log_policy(action, self.rationality)

    def log_prob(self, values: Float[Tensor, "R B"], batch: DemonstrationBatch) -> Float[Tensor, "R B"]:
        return torch.where(batch.transitions.valid, values, torch.zeros_like(values))

    def outcomes(self, values: Float[Tensor, "R B *T A"], transitions: Transitions) -> Float[Tensor, "R B *T A"]:
        """Log-probability of every action of each step; padding is action 0 for certain.

        Args:
            values: `of_actions` in the states of steps, or of whole episodes.
        """
        padding = values.new_full((values.shape[-1],), -math.inf)
        padding[0] = 0
        return torch.where(transitions.valid[..., None], values, padding)

    def policy(self, q: Float[Tensor, "*batch A"]) -> Float[Tensor, "*batch A"]:
        """Probability of every action: the policy that a demonstrator rolls out, in float64."""
        return self.of_actions(q.double()).exp()

    def sample(
        self,
        values: Float[Tensor, "R B A"] | QuadraticValues,
        transitions: Transitions,
        generators: list[torch.Generator],
    ) -> DemonstrationBatch:
        """Steps with an action drawn in each state.

        Args:
            values: Q of every action in the steps' states.
        """
        if isinstance(values, QuadraticValues):
            draws = uniforms(generators, *values.mean.shape[1:])
            double = QuadraticValues(values.value.double(), values.mean.double(), values.precision.double())
            action = double.sample(self.rationality, draws).to(transitions.action.dtype)
            return DemonstrationBatch(replace(transitions, action=action))
        cumulative = self.policy(values).cumsum(-1)
        draw = uniforms(generators, cumulative.shape[1])[..., None]
        return DemonstrationBatch(replace(transitions, action=(draw >= cumulative[..., :-1]).sum(-1)))


class DemonstrationDataModule(FeedbackDataModule[DemonstrationBatch]):
    """Episodes of a demonstrator. One sample is one episode; batches are made of single steps.

    Args:
        teacher_rationality: beta of the demonstrator.
        model_rationality: beta that the model assumes.
        minimum_return: the demonstrator shows no episode of a lower true return; None for no such limit.
        shared: those of every DataModule.
    """

    kind = "demonstration"
    answered = DemonstratedEpisodes
    labelled = False

    def __init__(
        self,
        *,
        teacher_rationality: float,
        model_rationality: float,
        minimum_return: float | None = None,
        **shared: Any,
    ) -> None:
        super().__init__(**shared)
        self.behaviour = Behaviour(teacher_rationality, minimum_return=minimum_return)
        self.model_rationality = model_rationality

    def candidates(self, simulator: Simulator, streams: list[Stream]) -> tuple[Simulated, Simulated]:
        shown = simulator.episodes(streams, self.behaviour, self.asking.query.candidates * self.gen_samples)
        return shown, shown

    def pool(self, simulator: Simulator, streams: list[Stream], count: int, n_episodes: int) -> Simulated:
        """Whole episodes of the demonstrator."""
        return simulator.episodes(streams, self.behaviour, count)

    def settings(self) -> dict[str, Any]:
        return {"behaviour": asdict(self.behaviour)}

    def batch_of(self, answered: DemonstratedEpisodes) -> DemonstrationBatch:
        return answered.steps()

    def likelihood_of_models(self, known_to_model: dict[str, Tensor], n_models: int) -> DemonstrationLikelihood:
        return DemonstrationLikelihood(self.model_rationality)
