"""The judgement of a learned reward by recorded transitions alone, and the metrics that are read off it."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from mavrl.evaluation import distance
from mavrl.folder.episodes import Episodes
from mavrl.model.reward_model import RewardModel

_MOST_STEPS = 10_000  # that a reward is judged by, evenly spaced among all
_MOST_EPISODES, _MOST_STEPS_OF_EPISODE = 200, 200  # of a picture, likewise
_CONSTANT = 1e-9  # standard deviation, as a part of the largest value, of a true reward that ranks nothing


@dataclass(frozen=True)
class RecordedJudgement:
    """A learned reward on recorded transitions.

    Args:
        model: the learned reward.
        episodes: that were recorded, with observations and actions as they were learned from.
    """

    model: RewardModel
    episodes: Episodes

    @cached_property
    def rows(self) -> Int[np.ndarray, "N"]:
        """The steps that it is judged by, among all."""
        return _evenly(int(self.episodes.lengths.sum()), _MOST_STEPS)

    @cached_property
    def mean(self) -> Float[Tensor, "R N"]:
        """Posterior mean of the reward of each step."""
        return self.model.mean(*self._steps(self.rows))

    @cached_property
    def std(self) -> Float[Tensor, "R N"]:
        """Posterior standard deviation of the reward of each step."""
        return self.model.std(*self._steps(self.rows))

    @property
    def truth(self) -> Float[Tensor, "1 N"] | None:
        """Recorded reward of each step; None where it is not known, or constant."""
        if self.episodes.rewards is None:
            return None
        true = torch.from_numpy(self.episodes.rewards[self.rows].astype(np.float64))[None]
        varies = float(true.std(correction=0)) > _CONSTANT * float(true.abs().max())
        return true if varies else None

    def of_episodes(
        self,
    ) -> tuple[Int[np.ndarray, "E"], Float[np.ndarray, "R E"], Float[np.ndarray, "E"] | None]:
        """Numbers of some episodes, and mean learned and recorded reward of steps of each; None for unknown ones."""
        numbers = _evenly(len(self.episodes), _MOST_EPISODES)
        lengths = self.episodes.lengths[numbers]
        steps = [_evenly(int(length), _MOST_STEPS_OF_EPISODE) for length in lengths]
        rows = np.concatenate([self.episodes.first[n] + k for n, k in zip(numbers, steps, strict=True)])
        ends = np.cumsum([len(k) for k in steps])[:-1]

        def means(values: np.ndarray) -> np.ndarray:
            return np.stack([part.mean(-1) for part in np.split(values, ends, axis=-1)], axis=-1)

        true = None if self.episodes.rewards is None else means(self.episodes.rewards[rows])
        return numbers, means(self.model.mean(*self._steps(rows)).numpy()), true

    def _steps(self, rows: np.ndarray) -> tuple[Tensor, Tensor, Tensor]:
        """State, action and next state of steps; an episode has one observation more than steps."""
        number = np.searchsorted(self.episodes.first, rows, side="right") - 1
        seen = rows + number
        arrays = self.episodes.observations[seen], self.episodes.actions[rows], self.episodes.observations[seen + 1]
        return tuple(torch.from_numpy(array) for array in arrays)  # type: ignore[return-value]


def spearman(judgement: RecordedJudgement) -> Float[Tensor, "R"] | None:
    """Rank correlation of posterior mean and recorded reward; None where that is not known, or constant."""
    if (truth := judgement.truth) is None:
        return None
    return distance.spearman(judgement.mean.double(), truth)


def posterior_std(judgement: RecordedJudgement) -> Float[Tensor, "R"]:
    """Posterior standard deviation, mean over recorded steps."""
    return judgement.std.mean(-1).double()


def _evenly(count: int, most: int) -> np.ndarray:
    """Numbers from 0 to `count` - 1, all or `most` of them at equal distances."""
    return np.arange(count) if count <= most else np.arange(most) * count // most
