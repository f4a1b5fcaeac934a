"""Imitation: the demonstrators' policy as it was learned beside the reward, which is itself not used."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from mavrl.model.step_reward import StepRewardModel
from mavrl.policies.boltzmann import boltzmann_policy


@dataclass(frozen=True)
class DemonstratedPolicy:
    """A policy that acts on the Q that was learned from demonstrations.

    Args:
        model: one replicate.
    """

    model: StepRewardModel

    @torch.no_grad()
    def probabilities(
        self, observation: Float[Tensor, "*batch O"], rationality: float, epsilon: float = 0.0
    ) -> Float[Tensor, "*batch A"]:
        """Probability of each action of the Boltzmann policy over the demonstrators' log-probabilities."""
        flat = observation.reshape(-1, observation.shape[-1])
        scores = self.model.demonstrator(flat)[0].view(*observation.shape[:-1], -1)
        return boltzmann_policy(scores, rationality, epsilon)
