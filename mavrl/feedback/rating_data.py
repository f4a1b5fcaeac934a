"""Simulated ratings of segments."""

from typing import Any

import torch
from torch import Tensor

from mavrl.feedback.data import CALIBRATION_SEGMENTS, SegmentData, label_streams, pack_transitions, unpack_transitions
from mavrl.feedback.rating import RatingLikelihood
from mavrl.simulation.base import Simulator, Stream
from mavrl.storage.answers import Arrays
from mavrl.types import RatingBatch, segment_mean


class RatingData(SegmentData[RatingBatch]):
    """Segments rated by a cumulative logit teacher whose categories are equally frequent.

    Args:
        n_categories: K.
    """

    kind = "rating"

    def __init__(self, n_categories: int, **shared: Any) -> None:
        super().__init__(**shared)
        self.n_categories = n_categories

    def teacher_settings(self) -> dict[str, Any]:
        return {"n_categories": self.n_categories}

    def simulate(self, simulator: Simulator, streams: list[Stream]) -> Arrays:
        segments = self.segments(simulator, streams, max(CALIBRATION_SEGMENTS, self.gen_samples), self.gen_samples)
        known, rated = segments.first(CALIBRATION_SEGMENTS), segments.first(self.gen_samples)
        teacher = RatingLikelihood.from_quantiles(
            segment_mean(known.reward, known.transitions.valid), self.n_categories
        )
        with torch.no_grad():
            batch = teacher.sample(rated.reward, rated.transitions, label_streams(streams))
        return {**pack_transitions(rated.transitions), "rating": batch.rating.numpy()}

    def assemble(self, entries: list[Arrays]) -> tuple[RatingBatch, dict[str, Tensor]]:
        labels = torch.stack([torch.from_numpy(entry["rating"][: self.n_samples]) for entry in entries])
        return RatingBatch(unpack_transitions(entries, self.n_samples), labels), {}

    def likelihood(self, teacher: dict[str, Tensor], n_models: int) -> RatingLikelihood:
        return RatingLikelihood.uninformed(n_models, self.n_categories)
