"""What a policy is, and the policy that takes every action equally often."""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from mavrl.actions import Actions, NumberedActions, VectorActions, drawn


@runtime_checkable
class Policy(Protocol):
    """A policy: the action that it takes, given observations and draws."""

    @property
    def n_draws(self) -> int:
        """Numbers in [0, 1) that one action takes."""
        ...

    def choose(
        self,
        observation: Float[Tensor, "N O"],
        rationality: float,
        epsilon: float,
        draws: Float[np.ndarray, "N n"],
    ) -> np.ndarray:
        """An action for each observation, shape (N,) of numbers, or (N, D) of vectors in the unit box.

        Args:
            rationality: 0 takes all actions equally often, infinity the best one.
            epsilon: how often a uniformly random action is taken instead.
            draws: uniform in [0, 1), `n_draws` for each observation.
        """
        ...


@dataclass(frozen=True)
class UniformPolicy:
    """A policy that takes every action equally often, whatever it sees and however rational it is."""

    actions: Actions

    @property
    def n_draws(self) -> int:
        return self.actions.size if isinstance(self.actions, VectorActions) else 1

    def choose(
        self,
        observation: Float[Tensor, "N O"],
        rationality: float,
        epsilon: float,
        draws: Float[np.ndarray, "N n"],
    ) -> np.ndarray:
        """An action for each observation, of which nothing is read."""
        if isinstance(self.actions, VectorActions):
            return (2 * draws - 1).astype(np.float32)
        return drawn(self.probabilities(observation, rationality, epsilon).numpy(), draws)

    def probabilities(
        self, observation: Float[Tensor, "*batch O"], rationality: float, epsilon: float = 0.0
    ) -> Float[Tensor, "*batch A"]:
        """Probability 1 / A of every numbered action."""
        assert isinstance(self.actions, NumberedActions)
        count = self.actions.count
        return torch.full((*observation.shape[:-1], count), 1 / count, dtype=torch.float64)
