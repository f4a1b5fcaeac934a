"""Where Q comes from that demonstrations and stops are scored with: planned from the reward, or learned beside it."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from mavrl.data.base import at_steps
from mavrl.model.layers import BatchedMLP
from mavrl.model.terms import bellman_nll, soft_value
from mavrl.planning import TransitionModel, plan
from mavrl.types import Transitions

Backup = Literal["optimal", "soft", "behaviour"]


class ValueSource(nn.Module, ABC):
    """Q of every state for each model, and the term that ties it to the reward."""

    @abstractmethod
    def forward(self, reward: Float[Tensor, "R S"]) -> Float[Tensor, "R S A"]:
        """Q, given one sampled reward of every state."""

    def bellman(
        self,
        q: Float[Tensor, "R S A"],
        mean: Float[Tensor, "R S"],
        logvar: Float[Tensor, "R S"],
        transitions: Transitions,
    ) -> Float[Tensor, "R B *steps"] | None:
        """Negative log-likelihood in nats of each step's Bellman residual; None where Q follows from the reward."""
        return None


class PlannedValues(ValueSource):
    """The optimal Q of the sampled reward function, in the continuing problem that teachers and evaluation use."""

    actions: Tensor

    def __init__(self, transitions: TransitionModel, gamma: float, n_models: int) -> None:
        super().__init__()
        self._transitions = transitions
        self._gamma = gamma
        first = torch.zeros(n_models, transitions.n_states, dtype=torch.int64)
        self.register_buffer("actions", first)  # the last policy, where the next planning starts

    def forward(self, reward: Float[Tensor, "R S"]) -> Float[Tensor, "R S A"]:
        q, actions = plan(self._transitions, reward[..., None], self._gamma, self.actions)
        if self.training:
            self.actions = actions
        return q


class LearnedValues(ValueSource):
    """A network s -> Q(s, .), tied to the reward by the Bellman residual d = Q(s, a) - gamma B(s') (1 - terminal).

    Args:
        backup: B is max_a' Q(s', a') for "optimal", its soft counterpart for "soft", and Q(s', a') of the data's own
            next action for "behaviour".
        soft_temperature: temperature of the soft backup, in units of Q.
    """

    def __init__(
        self,
        n_states: int,
        n_actions: int,
        hidden_sizes: Sequence[int],
        generators: list[torch.Generator],
        gamma: float,
        backup: Backup,
        soft_temperature: float,
    ) -> None:
        super().__init__()
        self.network = BatchedMLP(n_states, hidden_sizes, n_actions, generators)
        self._gamma = gamma
        self._backup = backup
        self._temperature = soft_temperature

    def forward(self, reward: Float[Tensor, "R S"]) -> Float[Tensor, "R S A"]:
        return self.network.on_one_hot()

    def bellman(
        self,
        q: Float[Tensor, "R S A"],
        mean: Float[Tensor, "R S"],
        logvar: Float[Tensor, "R S"],
        transitions: Transitions,
    ) -> Float[Tensor, "R B *steps"]:
        n_actions = q.shape[-1]
        if self._backup == "behaviour":
            index = transitions.next_state * n_actions + transitions.next_action
            following = q.flatten(1).gather(1, index.flatten(1))
        else:
            value = q.amax(-1) if self._backup == "optimal" else soft_value(q, self._temperature)
            following = value.gather(1, transitions.next_state.flatten(1))
        following = following.view(transitions.state.shape) * ~transitions.terminal
        residual = at_steps(q, transitions) - self._gamma * following
        return bellman_nll(residual, at_steps(mean[..., None], transitions), at_steps(logvar[..., None], transitions))
