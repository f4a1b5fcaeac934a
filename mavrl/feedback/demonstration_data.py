"""Simulated demonstrations: whole episodes of a Boltzmann policy."""

import dataclasses
from typing import Any

import torch
from torch import Tensor

from mavrl.feedback.data import FeedbackData, pack_transitions, unpack_transitions
from mavrl.feedback.demonstration import DemonstrationLikelihood
from mavrl.simulation.base import Behaviour, Simulator, Stream
from mavrl.storage.answers import Arrays
from mavrl.types import DemonstrationBatch, Transitions


class DemonstrationData(FeedbackData[DemonstrationBatch]):
    """Episodes of a demonstrator. One sample is one episode; batches are made of single steps.

    Args:
        teacher_rationality: beta of the demonstrator.
        model_rationality: beta that the model assumes.
        minimum_return: the demonstrator shows no episode of a lower true return; None for no such limit.
    """

    kind = "demonstration"

    def __init__(
        self,
        n_samples: int,
        gen_samples: int,
        teacher_rationality: float,
        model_rationality: float,
        minimum_return: float | None = None,
    ) -> None:
        super().__init__(n_samples, gen_samples)
        self.behaviour = Behaviour(teacher_rationality, minimum_return=minimum_return)
        self.model_rationality = model_rationality

    def settings(self) -> dict[str, Any]:
        return {"behaviour": dataclasses.asdict(self.behaviour)}

    def simulate(self, simulator: Simulator, streams: list[Stream]) -> Arrays:
        return pack_transitions(simulator.episodes(streams, self.behaviour, self.gen_samples).transitions)

    def assemble(self, entries: list[Arrays]) -> tuple[DemonstrationBatch, dict[str, Tensor]]:
        episodes = unpack_transitions(entries, self.n_samples)
        return DemonstrationBatch(_valid_first(episodes.flatten())), {}

    def likelihood(self, teacher: dict[str, Tensor], n_models: int) -> DemonstrationLikelihood:
        return DemonstrationLikelihood(self.model_rationality)


def _valid_first(steps: Transitions) -> Transitions:
    """The same steps with the padding moved to the end, as much of it as the longest replicate needs."""
    order = torch.argsort(steps.valid.int(), dim=1, descending=True, stable=True)
    return steps.take(order[:, : int(steps.valid.sum(1).max())])
