"""Simulated stops of segments."""

from typing import Any

import torch
from torch import Tensor

from mavrl.feedback.data import CALIBRATION_SEGMENTS, SegmentData, label_streams, pack_transitions, unpack_transitions
from mavrl.feedback.stop import StopLikelihood
from mavrl.simulation.base import Simulator, Stream
from mavrl.storage.answers import Arrays
from mavrl.types import StopBatch


class StopData(SegmentData[StopBatch]):
    """Segments that a teacher watches and stops when enough regret has built up.

    The model is told the teacher's rate: like a rationality, it fixes the unit in which the reward is measured.

    Args:
        discount: how much of the regret so far the teacher remembers at the next step.
        percentile, scale: the rate is scale / (this percentile of the segments' largest discounted regret).
        lapse: rate of stops for no reason that the model assumes.
    """

    kind = "stop"

    def __init__(self, discount: float, percentile: float, scale: float, lapse: float, **shared: Any) -> None:
        super().__init__(**shared)
        self.discount = discount
        self.percentile = percentile
        self.scale = scale
        self.lapse = lapse

    def teacher_settings(self) -> dict[str, Any]:
        return {"discount": self.discount, "percentile": self.percentile, "scale": self.scale}

    def simulate(self, simulator: Simulator, streams: list[Stream]) -> Arrays:
        segments = self.segments(simulator, streams, max(CALIBRATION_SEGMENTS, self.gen_samples), self.gen_samples)
        known, watched = segments.first(CALIBRATION_SEGMENTS), segments.first(self.gen_samples)
        teacher = StopLikelihood.calibrated(known.regret, known.transitions, self.discount, self.percentile, self.scale)
        batch = teacher.sample(watched.regret, watched.transitions, label_streams(streams))
        rate = teacher.rate.numpy()
        return {**pack_transitions(watched.transitions), "stop_step": batch.stop_step.numpy(), "teacher_rate": rate}

    def assemble(self, entries: list[Arrays]) -> tuple[StopBatch, dict[str, Tensor]]:
        labels = torch.stack([torch.from_numpy(entry["stop_step"][: self.n_samples]) for entry in entries])
        rate = torch.stack([torch.as_tensor(entry["teacher_rate"]) for entry in entries])
        return StopBatch(unpack_transitions(entries, self.n_samples), labels), {"rate": rate}

    def likelihood(self, teacher: dict[str, Tensor], n_models: int) -> StopLikelihood:
        rate = teacher["rate"].repeat_interleave(n_models // len(teacher["rate"]))
        return StopLikelihood(rate.float(), self.discount, self.lapse)
