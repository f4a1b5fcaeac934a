"""What the outputs of a network for one state say about its actions, and how an action is an input of another."""

from abc import ABC, abstractmethod

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mavrl.actions import Actions, NumberedActions, VectorActions
from mavrl.feedback.base import FeedbackLikelihood
from mavrl.model.terms import Backup, soft_value
from mavrl.quadratic import QuadraticValues

Action = Int[Tensor, "*batch"] | Float[Tensor, "*batch D"]


class ActionHead(ABC):
    """The reading of H outputs as the action values of a state.

    Attributes:
        n_inputs: numbers that an action is as an input.
        n_outputs: H.
    """

    n_inputs: int
    n_outputs: int

    @abstractmethod
    def encoded(self, action: Action) -> Float[Tensor, "*batch I"]:
        """Actions as inputs of a network."""

    @abstractmethod
    def taken(self, outputs: Float[Tensor, "*batch H"], action: Action) -> Float[Tensor, "*batch"]:
        """Q of the action taken."""

    @abstractmethod
    def best(self, outputs: Float[Tensor, "*batch H"]) -> Float[Tensor, "*batch"]:
        """The largest Q of all actions."""

    @abstractmethod
    def soft(self, outputs: Float[Tensor, "*batch H"], temperature: float) -> Float[Tensor, "*batch"]:
        """temperature * log mean exp(Q / temperature) over all actions."""

    @abstractmethod
    def read(
        self, likelihood: FeedbackLikelihood, outputs: Float[Tensor, "*batch H"], action: Action
    ) -> Float[Tensor, "*batch"]:
        """What a likelihood of action values reads at the action taken."""

    def state_value(
        self, outputs: Float[Tensor, "*batch H"], backup: Backup, temperature: float
    ) -> Float[Tensor, "*batch"]:
        """B(s): the largest Q for the "optimal" backup, its soft counterpart for the "soft" one.

        Raises:
            ValueError: the backup needs to know what was done in the next state.
        """
        if backup == "behaviour":
            raise ValueError("the behaviour backup is no function of the state")
        return self.soft(outputs, temperature) if backup == "soft" else self.best(outputs)


class NumberedHead(ActionHead):
    """One output an action, which is its Q; as an input an action is a vector with a 1 at its number."""

    def __init__(self, count: int) -> None:
        self.n_inputs = self.n_outputs = count

    def encoded(self, action: Action) -> Float[Tensor, "*batch I"]:
        return torch.nn.functional.one_hot(action, self.n_inputs).float()

    def taken(self, outputs: Float[Tensor, "*batch H"], action: Action) -> Float[Tensor, "*batch"]:
        return outputs.gather(-1, action[..., None]).squeeze(-1)

    def best(self, outputs: Float[Tensor, "*batch H"]) -> Float[Tensor, "*batch"]:
        return outputs.amax(-1)

    def soft(self, outputs: Float[Tensor, "*batch H"], temperature: float) -> Float[Tensor, "*batch"]:
        return soft_value(outputs, temperature)

    def read(
        self, likelihood: FeedbackLikelihood, outputs: Float[Tensor, "*batch H"], action: Action
    ) -> Float[Tensor, "*batch"]:
        return self.taken(likelihood.of_actions(outputs), action)


class VectorHead(ActionHead):
    """Outputs that are read as `mavrl.quadratic.QuadraticValues`; as an input an action is itself."""

    def __init__(self, size: int) -> None:
        self.n_inputs, self.n_outputs = size, 1 + 2 * size

    def encoded(self, action: Action) -> Float[Tensor, "*batch I"]:
        return action.float()

    def taken(self, outputs: Float[Tensor, "*batch H"], action: Action) -> Float[Tensor, "*batch"]:
        return QuadraticValues.from_outputs(outputs).at(action)

    def best(self, outputs: Float[Tensor, "*batch H"]) -> Float[Tensor, "*batch"]:
        return QuadraticValues.from_outputs(outputs).value

    def soft(self, outputs: Float[Tensor, "*batch H"], temperature: float) -> Float[Tensor, "*batch"]:
        return QuadraticValues.from_outputs(outputs).soft_value(temperature)

    def read(
        self, likelihood: FeedbackLikelihood, outputs: Float[Tensor, "*batch H"], action: Action
    ) -> Float[Tensor, "*batch"]:
        return likelihood.of_vectors(QuadraticValues.from_outputs(outputs), action)


def action_head(actions: Actions) -> ActionHead:
    """The reading that fits these actions."""
    if isinstance(actions, VectorActions):
        return VectorHead(actions.size)
    assert isinstance(actions, NumberedActions)
    return NumberedHead(actions.count)
