"""A reward posterior of a finite environment that is known by draws from it: a model for users, and a belief."""

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from mavrl.model.beliefs import TabularBelief
from mavrl.model.tabular_reward import TabularRewardModel
from mavrl.planning import TransitionModel
from mavrl.streams import torch_stream


class SampledRewardModel(TabularRewardModel):
    """The same as a learned table to its users, but `sample` gives one of the draws: a joint one of all states.

    Args:
        draws: of each chain, in the order in which it made them, in units of reward.
        scale: standard deviation of the prior beside each draw.
        description: what was sampled.
    """

    kind = "sampled"

    def __init__(
        self,
        draws: Float[Tensor, "R C N S"],
        scale: Float[Tensor, "R C N"],
        description: dict[str, Any],
        replicate: int | None = None,
    ) -> None:
        together = draws.flatten(1, 2).double()
        mean, std = together.mean(1, keepdim=True).float(), together.std(1, keepdim=True).float()
        super().__init__(mean, std, description, replicate)
        self.draws, self.scale = draws, scale

    @classmethod
    def from_tensors(cls, tensors: dict[str, Tensor], description: dict[str, Any]) -> "SampledRewardModel":
        """The model with these saved draws."""
        return cls(tensors["draws"], tensors["prior.scale"], description)

    def tensors(self) -> dict[str, Tensor]:
        return {"draws": self.draws, "prior.scale": self.scale}

    def _replicate(self, row: int, number: int) -> "SampledRewardModel":
        one = slice(row, row + 1)
        return SampledRewardModel(self.draws[one], self.scale[one], self.description, number)

    def sample_table(self, seed: int) -> Float[Tensor, "R S"]:
        """One of the draws of each replicate."""
        rows = []
        for row, draws in enumerate(self.draws.flatten(1, 2)):
            stream = self._stream(seed, row)
            rows.append(draws[int(torch.randint(len(draws), (), generator=stream))])
        return torch.stack(rows)


class SampledBelief(TabularBelief):
    """Reward functions that are draws from a posterior, and the optimal Q that is planned from each.

    Args:
        model: with the draws.
        transitions: of the environment.
        gamma: discount.
    """

    def __init__(self, model: SampledRewardModel, transitions: TransitionModel, gamma: float) -> None:
        super().__init__(*model.member_tables(), transitions, gamma)
        self._draws = model.draws.flatten(1, 2)

    def rewards(self, count: int, seeds: Sequence[int]) -> Float[Tensor, "R K S"]:
        """Draws, each as probable as the others."""
        found = []
        for row, seed in enumerate(seeds):
            stream = torch_stream(seed, "reward functions")
            found.append(self._draws[row, torch.randint(self._draws.shape[1], (count,), generator=stream)])
        return torch.stack(found)
