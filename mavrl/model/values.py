"""Sources of the Q that demonstrations and stops are scored with: planned from the reward, or learned beside it."""

import copy
from abc import ABC, abstractmethod
from typing import Generic

import torch
from jaxtyping import Float
from torch import Tensor, nn

from mavrl.model.action_heads import ActionHead, VectorHead
from mavrl.model.layers import BatchedMLP, Standardization
from mavrl.model.support import Points, StepSupport, Support
from mavrl.model.terms import Backup, bellman_nll
from mavrl.planning import TransitionModel, plan


class ValueSource(nn.Module, ABC, Generic[Points]):
    """A source of Q, at the V points of a support that need it, and of the term that ties it to the reward."""

    @abstractmethod
    def forward(self, reward: Float[Tensor, "R N"], support: Points) -> Float[Tensor, "R V A"]:
        """Q, given one sampled reward of every point."""

    def bellman(
        self,
        q: Float[Tensor, "R V A"],
        mean: Float[Tensor, "R N"],
        logvar: Float[Tensor, "R N"],
        support: Points,
        name: str,
    ) -> Float[Tensor, "R B *steps"] | None:
        """Negative log-likelihood in nats of each step's Bellman residual; None where Q follows from the reward.

        Args:
            name: the kind of feedback whose steps these are.
        """
        return None


class PlannedValues(ValueSource[Support]):
    """The optimal Q of the sampled reward function, in the continuing problem that teachers and evaluation use."""

    actions: Tensor

    def __init__(self, transitions: TransitionModel, gamma: float, n_models: int) -> None:
        super().__init__()
        self._transitions = copy.deepcopy(transitions)  # others read theirs where it is
        self._gamma = gamma
        first = torch.zeros(n_models, transitions.n_states, dtype=torch.int64)
        self.register_buffer("actions", first)  # the last policy, where the next planning starts

    def forward(self, reward: Float[Tensor, "R S"], support: Support | None = None) -> Float[Tensor, "R S A"]:
        q, actions = plan(self._transitions, reward[..., None], self._gamma, self.actions)
        if self.training:
            self.actions = actions
        return q


class LearnedValues(ValueSource[Points]):
    """A network s -> Q(s, .), tied to the reward by the Bellman residual d = Q(s, a) - gamma B(s') (1 - terminal).

    Args:
        network: from states to what `head` reads as Q.
        head: how actions are read.
        backup: B is max_a' Q(s', a') for "optimal", its soft counterpart for "soft", and Q(s', a') of the data's own
            next action for "behaviour".
        soft_temperature: temperature of the soft backup, in units of Q.
    """

    def __init__(
        self, network: BatchedMLP, head: ActionHead, gamma: float, backup: Backup, soft_temperature: float
    ) -> None:
        super().__init__()
        self.network = network
        self.head = head
        self._gamma = gamma
        self._backup: Backup = backup
        self._temperature = soft_temperature

    def bellman(
        self,
        q: Float[Tensor, "R V A"],
        mean: Float[Tensor, "R N"],
        logvar: Float[Tensor, "R N"],
        support: Points,
        name: str,
    ) -> Float[Tensor, "R B *steps"]:
        steps = support.transitions(name)
        following = self._following(q, support, name)
        if self._backup == "behaviour":
            value = self.head.taken(following, steps.next_action)
        else:
            value = self.head.state_value(following, self._backup, self._temperature)
        residual = support.taken(q, name) - self._gamma * value * ~steps.terminal
        return bellman_nll(residual, support.look_up(mean, name), support.look_up(logvar, name))

    @abstractmethod
    def _following(self, q: Float[Tensor, "R V A"], support: Points, name: str) -> Float[Tensor, "R B *steps A"]:
        """Q of every action in the next states of one kind's steps."""


class LearnedStateValues(LearnedValues[Support]):
    """Q of every state of a finite environment."""

    def forward(self, reward: Float[Tensor, "R S"], support: Support | None = None) -> Float[Tensor, "R S A"]:
        return self.network.on_one_hot()

    def _following(self, q: Float[Tensor, "R S A"], support: Support, name: str) -> Float[Tensor, "R B *steps A"]:
        state = support.transitions(name).next_state
        rows = torch.arange(len(q), device=q.device).view(-1, *[1] * (state.ndim - 1))
        return q[rows, state]


class StepValues(ValueSource[StepSupport]):
    """Q of the states that the transitions of a step start from, from a network that the reward is read off, too.

    Args:
        network: from states to outputs that are read as Q of their actions.
        standardization: of the observations.
    """

    def __init__(self, network: BatchedMLP, standardization: Standardization) -> None:
        super().__init__()
        self.network = network
        self.standardization = standardization

    def action_values(self, state: Float[Tensor, "#R N O"]) -> Float[Tensor, "R N H"]:
        """What the head reads as Q."""
        return self.network(self.standardization(state))

    def told(self) -> BatchedMLP:
        """The network from standardized states to what the head reads as Q, for those who have this one no more."""
        return self.network

    def forward(self, reward: Float[Tensor, "R N"], support: StepSupport) -> Float[Tensor, "R V A"]:
        return support.outputs(self.network, self.standardization)[:, : support.n_valued]


class LearnedStepValues(StepValues, LearnedValues[StepSupport]):
    """Such a Q that the Bellman term ties to the reward.

    Of vectors as actions the network tells V in units of the horizon, 1 / (1 - gamma), which a value is a reward times.
    Otherwise V, which begins near 0, is far behind the reward when the learning ends, and holds the reward of what is
    demonstrated near 0 whatever preferences say.

    Args:
        network, standardization: those of `StepValues`.
        head, gamma, backup, soft_temperature: those of `LearnedValues`.
    """

    def __init__(
        self,
        network: BatchedMLP,
        head: ActionHead,
        gamma: float,
        backup: Backup,
        soft_temperature: float,
        standardization: Standardization,
    ) -> None:
        LearnedValues.__init__(self, network, head, gamma, backup, soft_temperature)
        self.standardization = standardization
        self._unit = 1 / (1 - gamma) if isinstance(head, VectorHead) else 1.0

    def action_values(self, state: Float[Tensor, "#R N O"]) -> Float[Tensor, "R N H"]:
        outputs = super().action_values(state)
        return outputs if self._unit == 1 else torch.cat([self._unit * outputs[..., :1], outputs[..., 1:]], dim=-1)

    @torch.no_grad()
    def told(self) -> BatchedMLP:
        network = copy.deepcopy(self.network)
        if self._unit != 1:
            for parameter in network.layers[-1].parameters():
                parameter[..., 0] *= self._unit
        return network

    def forward(self, reward: Float[Tensor, "R N"], support: StepSupport) -> Float[Tensor, "R V A"]:
        return self.action_values(support.state[:, : support.n_valued])

    def _following(self, q: Float[Tensor, "R V A"], support: StepSupport, name: str) -> Float[Tensor, "R B *steps A"]:
        steps = support.transitions(name)
        flat = steps.next_state.flatten(1, steps.valid.ndim - 1)
        return self.action_values(flat).view(*steps.valid.shape, -1)
