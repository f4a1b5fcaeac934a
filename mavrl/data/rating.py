"""Simulated ratings of segments."""

from typing import Any

import torch
from torch import Tensor

from mavrl.data.base import CALIBRATION_SEGMENTS, SegmentData, at_steps, pack_transitions, unpack_transitions
from mavrl.data.cache import Arrays
from mavrl.envs.problem import TabularProblem
from mavrl.feedback.rating import RatingLikelihood
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

    def simulate(self, problem: TabularProblem, streams: list[tuple[int, str]]) -> Arrays:
        segments = self.segments(problem, streams, max(CALIBRATION_SEGMENTS, self.gen_samples), self.gen_samples)
        reward = at_steps(problem.reward[..., None], segments)
        mean_reward = segment_mean(reward, segments.valid)[:, :CALIBRATION_SEGMENTS]
        teacher = RatingLikelihood.from_quantiles(mean_reward, self.n_categories)
        rated = segments.map(lambda tensor: tensor[:, : self.gen_samples])
        with torch.no_grad():
            batch = teacher.sample(reward[:, : self.gen_samples], rated, self.torch_streams(streams, "labels"))
        return {**pack_transitions(rated), "rating": batch.rating.numpy()}

    def assemble(self, entries: list[Arrays]) -> tuple[RatingBatch, dict[str, Tensor]]:
        labels = torch.stack([torch.from_numpy(entry["rating"][: self.n_samples]) for entry in entries])
        return RatingBatch(unpack_transitions(entries, self.n_samples), labels), {}

    def likelihood(self, teacher: dict[str, Tensor], n_models: int) -> RatingLikelihood:
        return RatingLikelihood.uninformed(n_models, self.n_categories)
