"""Simulated preferences between pairs of segments."""

from typing import Any

import torch
from torch import Tensor

from mavrl.feedback.data import SegmentData, label_streams, pack_transitions, unpack_transitions
from mavrl.feedback.preference import PreferenceLikelihood
from mavrl.simulation.base import Simulator, Stream
from mavrl.storage.answers import Arrays
from mavrl.types import PreferenceBatch


class PreferenceData(SegmentData[PreferenceBatch]):
    """Pairs of segments, compared by a Bradley-Terry teacher.

    Args:
        teacher_rationality: beta of the teacher.
        model_rationality: beta that the model assumes.
    """

    kind = "preference"

    def __init__(self, teacher_rationality: float, model_rationality: float, **shared: Any) -> None:
        super().__init__(**shared)
        self.teacher_rationality = teacher_rationality
        self.model_rationality = model_rationality

    def teacher_settings(self) -> dict[str, Any]:
        return {"rationality": self.teacher_rationality}

    def simulate(self, simulator: Simulator, streams: list[Stream]) -> Arrays:
        segments = self.segments(simulator, streams, 2 * self.gen_samples, 2 * self.gen_samples)
        pairs = segments.map(lambda tensor: tensor.unflatten(1, (self.gen_samples, 2)))
        teacher = PreferenceLikelihood(self.teacher_rationality)
        batch = teacher.sample(pairs.reward, pairs.transitions, label_streams(streams))
        return {**pack_transitions(pairs.transitions), "first_preferred": batch.first_preferred.numpy()}

    def assemble(self, entries: list[Arrays]) -> tuple[PreferenceBatch, dict[str, Tensor]]:
        labels = torch.stack([torch.from_numpy(entry["first_preferred"][: self.n_samples]) for entry in entries])
        return PreferenceBatch(unpack_transitions(entries, self.n_samples), labels), {}

    def likelihood(self, teacher: dict[str, Tensor], n_models: int) -> PreferenceLikelihood:
        return PreferenceLikelihood(self.model_rationality)
