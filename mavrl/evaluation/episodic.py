"""The judgement of a learned reward by what policies trained on it earn, and the metrics that are read off it."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from mavrl.evaluation import distance
from mavrl.evaluation.returns import Scale
from mavrl.model.reward_model import RewardModel
from mavrl.simulation.base import Simulated

_CONSTANT = 1e-9  # standard deviation, as a part of the largest value, of a true reward that ranks nothing


@dataclass(frozen=True)
class EpisodicJudgement:
    """Episodes of what acts on a learned reward, and that reward on steps that it was not learned from.

    Args:
        model: the learned reward.
        returns: undiscounted true return of each replicate's policy in each of N episodes.
        expert_returns: those of the demonstrator in the same episodes; None without a demonstrator.
        scale: of normalized returns; None where there is none.
        held_out: steps of one replicate, shape (1, B, T), with their true rewards.
    """

    model: RewardModel
    returns: Float[np.ndarray, "R N"]
    expert_returns: Float[np.ndarray, "N"] | None
    scale: Scale | None
    held_out: Simulated

    @cached_property
    def mean_returns(self) -> Float[Tensor, "R"]:
        """Mean return of each replicate's policy."""
        return torch.tensor([row.mean() for row in self.returns], dtype=torch.float64)

    @cached_property
    def truth(self) -> Float[Tensor, "1 N"]:
        """True reward of each held-out step."""
        return self.held_out.reward[0][self.held_out.transitions.valid[0]].double()[None]

    @property
    def truth_varies(self) -> bool:
        """Whether the true reward differs between held-out steps, so that something can be told by it."""
        return float(self.truth.std()) > _CONSTANT * float(self.truth.abs().max())

    @cached_property
    def mean(self) -> Float[Tensor, "R N"]:
        """Posterior mean of the reward of each held-out step."""
        return self.model.mean(*self._steps)

    @cached_property
    def std(self) -> Float[Tensor, "R N"]:
        """Posterior standard deviation of the reward of each held-out step."""
        return self.model.std(*self._steps)

    @property
    def _steps(self) -> tuple[Tensor, Tensor, Tensor]:
        steps = self.held_out.transitions
        valid = steps.valid[0]
        action = self.model.in_units(steps.action[0][valid])
        return steps.state[0][valid], action, steps.next_state[0][valid]


def normalized_return(judgement: EpisodicJudgement) -> Float[Tensor, "R"] | None:
    """Mean return of the policy on the scale of expert and uniform policy; None where there is none."""
    return None if judgement.scale is None else judgement.scale.normalized(judgement.mean_returns)


def mean_return(judgement: EpisodicJudgement) -> Float[Tensor, "R"]:
    """Undiscounted true return of the policy, mean over episodes."""
    return judgement.mean_returns


def regret(judgement: EpisodicJudgement) -> Float[Tensor, "R"] | None:
    """What the demonstrator earns more than the policy, mean over pairs of episodes with a seed; None without one."""
    if (expert := judgement.expert_returns) is None:
        return None
    lacking = [(expert - row).mean() for row in judgement.returns]
    return torch.tensor(lacking, dtype=torch.float64)


def spearman(judgement: EpisodicJudgement) -> Float[Tensor, "R"] | None:
    """Rank correlation of posterior mean and true reward on held-out steps; None where the true one is constant."""
    if not judgement.truth_varies:
        return None
    return distance.spearman(judgement.mean.double(), judgement.truth)


def posterior_std(judgement: EpisodicJudgement) -> Float[Tensor, "R"] | None:
    """Posterior standard deviation, mean over held-out steps; None where the true reward is constant there."""
    if not judgement.truth_varies:
        return None
    return judgement.std.mean(-1).double()
