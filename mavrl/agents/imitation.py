"""Imitation: the demonstrators' policy as it was learned beside the reward, which is itself not used."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from mavrl.actions import VectorActions, drawn
from mavrl.model.step_reward import StepRewardModel
from mavrl.policies.boltzmann import boltzmann_policy
from mavrl.quadratic import QuadraticValues


@dataclass(frozen=True)
class DemonstratedPolicy:
    """A policy that acts on the Q that was learned from demonstrations.

    Args:
        model: one replicate.
    """

    model: StepRewardModel

    @property
    def n_draws(self) -> int:
        return 2 + self.model.actions.size if isinstance(self.model.actions, VectorActions) else 1

    @torch.no_grad()
    def choose(
        self,
        observation: Float[Tensor, "N O"],
        rationality: float,
        epsilon: float,
        draws: Float[np.ndarray, "N n"],
    ) -> np.ndarray:
        """An action for each observation; of vectors a member's, or of infinite rationality the mean of their best."""
        if not isinstance(self.model.actions, VectorActions):
            return drawn(self.probabilities(observation, rationality, epsilon).numpy(), draws)
        q = self.model.demonstrated_values(observation)[0]
        if math.isinf(rationality):
            unit = q.mean.mean(0)
        else:
            member = torch.from_numpy((draws[:, 0] * len(q.value)).astype(np.int64))
            unit = _double(q[member, torch.arange(len(member))]).sample(rationality, torch.from_numpy(draws[:, 2:]))
        unit = np.where(draws[:, 1:2] < epsilon, 2 * draws[:, 2:] - 1, unit.numpy())
        return unit.astype(np.float32)

    @torch.no_grad()
    def probabilities(
        self, observation: Float[Tensor, "*batch O"], rationality: float, epsilon: float = 0.0
    ) -> Float[Tensor, "*batch A"]:
        """Probability of each numbered action of the Boltzmann policy over the demonstrators' log-probabilities."""
        flat = observation.reshape(-1, observation.shape[-1])
        scores = self.model.demonstrator(flat)[0].view(*observation.shape[:-1], -1)
        return boltzmann_policy(scores, rationality, epsilon)


_LOG_STD = (math.log(0.2), 0.0)  # which leaves something to explore, and does not drown the mean


@torch.no_grad()
def demonstrated(
    model: StepRewardModel, states: Float[Tensor, "N O"]
) -> tuple[Float[Tensor, "N K"], Float[Tensor, "W"] | None]:
    """What `mavrl.agents.batched_ppo.BatchedPPO.imitate` is to move a policy towards.

    Of vectors that is the mean over members of the best action, and the demonstrators' log standard deviation, a mean
    over states: one of 1, with which PPO begins, would cover the box, and nothing of the mean would be seen in it.

    Args:
        model: one replicate.
    """
    if not isinstance(model.actions, VectorActions):
        return model.demonstrator(states)[0].exp(), None
    q = model.demonstrated_values(states)[0]
    log_std = (-0.5 * q.precision.log()).mean((0, 1)).clamp(*_LOG_STD)
    return q.mean.mean(0), log_std


def _double(q: QuadraticValues) -> QuadraticValues:
    return QuadraticValues(q.value.double(), q.mean.double(), q.precision.double())
