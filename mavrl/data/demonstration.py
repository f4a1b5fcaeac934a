"""Simulated demonstrations: whole episodes of a Boltzmann policy."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from mavrl.data.base import FeedbackData, pack_transitions, unpack_transitions
from mavrl.data.cache import Arrays
from mavrl.data.rollouts import simulate_episodes
from mavrl.data.segments import cut
from mavrl.envs.problem import TabularProblem
from mavrl.feedback.demonstration import DemonstrationLikelihood
from mavrl.types import DemonstrationBatch, Transitions

_GROUP = 16  # episodes that share a stream: the first n episodes do not depend on how many follow


class DemonstrationData(FeedbackData[DemonstrationBatch]):
    """Episodes of a demonstrator. One sample is one episode; batches are made of single steps.

    Args:
        teacher_rationality: beta of the demonstrator.
        model_rationality: beta that the model assumes.
    """

    kind = "demonstration"

    def __init__(self, n_samples: int, gen_samples: int, teacher_rationality: float, model_rationality: float) -> None:
        super().__init__(n_samples, gen_samples)
        self.teacher_rationality = teacher_rationality
        self.model_rationality = model_rationality

    def settings(self) -> dict[str, Any]:
        return {"rationality": self.teacher_rationality}

    def simulate(self, problem: TabularProblem, streams: list[tuple[int, str]]) -> Arrays:
        policy = DemonstrationLikelihood(self.teacher_rationality).policy(problem.q).numpy()
        groups = []
        for group in range(-(-self.gen_samples // _GROUP)):
            episodes = simulate_episodes(problem, policy, _GROUP, self.numpy_streams(streams, f"episodes {group}"))
            number = np.broadcast_to(np.arange(_GROUP), episodes.length.shape)
            whole = cut(episodes, number, np.zeros_like(number), int(episodes.length.max()))
            groups.append(pack_transitions(whole))
        longest = max(group["state"].shape[-1] for group in groups)
        width = [(0, 0), (0, 0)]
        return {
            name: np.concatenate(
                [np.pad(group[name], [*width, (0, longest - group[name].shape[-1])]) for group in groups], axis=1
            )[:, : self.gen_samples]
            for name in groups[0]
        }

    def assemble(self, entries: list[Arrays]) -> tuple[DemonstrationBatch, dict[str, Tensor]]:
        episodes = unpack_transitions(entries, self.n_samples)
        return DemonstrationBatch(_valid_first(episodes.map(lambda tensor: tensor.flatten(1)))), {}

    def likelihood(self, teacher: dict[str, Tensor], n_models: int) -> DemonstrationLikelihood:
        return DemonstrationLikelihood(self.model_rationality)


def _valid_first(steps: Transitions) -> Transitions:
    """The same steps with the padding moved to the end, as much of it as the longest replicate needs."""
    order = torch.argsort(steps.valid.int(), dim=1, descending=True, stable=True)
    return steps.take(order[:, : int(steps.valid.sum(1).max())])
