"""A tabular decision problem with its true reward and optimal values: what simulated teachers and evaluation know."""

from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from mavrl.envs.grid import GridEnv
from mavrl.planning import TransitionModel, optimal_action_values


@dataclass(frozen=True)
class TabularProblem:
    """A finite environment and its true rewards.

    Args:
        transitions: where actions lead.
        reward: true reward of acting in each state; one row for all replicates or one for each.
        initial_distribution: probability of each first state.
        terminal_states: states in which any step terminates the episode.
        gamma: discount factor.
        max_steps: steps after which an episode is cut off; None for no limit.
    """

    transitions: TransitionModel
    reward: Float[Tensor, "R S"]
    initial_distribution: Float[Tensor, "S"]
    terminal_states: Bool[Tensor, "S"]
    gamma: float
    max_steps: int | None = None

    @classmethod
    def of_grid(cls, env: GridEnv, gamma: float) -> "TabularProblem":
        return cls(
            transitions=env.transitions,
            reward=torch.from_numpy(env.R)[None],
            initial_distribution=torch.from_numpy(env.initial_distribution),
            terminal_states=torch.from_numpy(env.terminal_states),
            gamma=gamma,
            max_steps=env.max_steps,
        )

    @cached_property
    def q(self) -> Float[Tensor, "R S A"]:
        """Optimal Q of the continuing problem under the true reward, in float64."""
        return optimal_action_values(self.transitions, self.reward[..., None], self.gamma)
