"""What the outputs of a policy's network say about actions: probabilities of numbers, or a Gaussian over vectors.

Both are those of Stable-Baselines3's PPO. A Gaussian has parameters of its own beside the network: the logarithms of
its standard deviations, which are the same in every state. Of R replicates, outputs have the shape (R, N, H) and own
parameters (R, W). Nothing that is computed for one of them depends on how many there are.
"""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from mavrl.actions import Actions, NumberedActions, VectorActions
from mavrl.policies.gaussian import GaussianPolicy
from mavrl.policies.loading import StoredPolicy
from mavrl.policies.network import NetworkPolicy
from mavrl.policies.storing import Layers


class Choices(ABC):
    """The distributions of actions in N states of each replicate."""

    @abstractmethod
    def log_prob(self, actions: Tensor) -> Float[Tensor, "R N"]:
        """Log-probability, or log-density, of an action in each state."""

    @abstractmethod
    def gradient(
        self, actions: Tensor, of_log_prob: Float[Tensor, "R N"], of_entropy: float
    ) -> tuple[Float[Tensor, "R N H"], Float[Tensor, "R W"]]:
        """The gradient of a loss in the outputs and in the own parameters.

        Args:
            of_log_prob: the derivative of the loss in each log-probability.
            of_entropy: how much the entropy of each state is taken off the loss.
        """


class ActionDistribution(ABC):
    """A kind of distribution.

    Attributes:
        n_outputs: H, outputs of a network.
        n_own: W, own parameters.
    """

    n_outputs: int
    n_own: int = 0

    @abstractmethod
    def empty(self, *shape: int) -> np.ndarray:
        """An array for so many actions."""

    @abstractmethod
    def draws(self, stream: np.random.Generator, *shape: int) -> np.ndarray:
        """The randomness of so many actions."""

    @abstractmethod
    def drawn(
        self, outputs: Float[np.ndarray, "R N H"], own: Float[np.ndarray, "R W"], draws: Float[np.ndarray, "R N n"]
    ) -> np.ndarray:
        """Actions from what `draws` returns; some action also where the outputs are not finite."""

    @abstractmethod
    def taken(self, actions: np.ndarray) -> np.ndarray:
        """Drawn actions as environments take them."""

    @abstractmethod
    def choices(self, outputs: Float[Tensor, "R N H"], own: Float[Tensor, "R W"]) -> Choices:
        """The distributions that these outputs say."""

    @abstractmethod
    def imitation(self, outputs: Float[Tensor, "R N H"], wanted: Float[Tensor, "R N K"]) -> Float[Tensor, "R N H"]:
        """The gradient in the outputs of how far each state's distribution is from what is wanted."""

    @abstractmethod
    def policy(self, layers: Layers, own: Float[Tensor, "W"]) -> StoredPolicy:
        """The policy of a network with these tanh layers."""


@dataclass(frozen=True)
class Numbers(ActionDistribution):
    """Numbered actions, with an output for each that is its logit."""

    count: int

    @property
    def n_outputs(self) -> int:  # type: ignore[override]
        return self.count

    def empty(self, *shape: int) -> np.ndarray:
        return np.empty(shape, dtype=np.int64)

    def draws(self, stream: np.random.Generator, *shape: int) -> np.ndarray:
        return stream.random((*shape, 1))

    def drawn(self, outputs: np.ndarray, own: np.ndarray, draws: np.ndarray) -> Int[np.ndarray, "*batch"]:
        with np.errstate(invalid="ignore"):  # of a training that failed
            weights = np.exp(outputs - outputs.max(-1, keepdims=True)).cumsum(-1)
            return (draws * weights[..., -1:] >= weights[..., :-1]).sum(-1)

    def taken(self, actions: np.ndarray) -> np.ndarray:
        return actions

    def choices(self, outputs: Float[Tensor, "R N H"], own: Float[Tensor, "R W"]) -> "_Categorical":
        return _Categorical(torch.log_softmax(outputs, dim=-1))

    def imitation(self, outputs: Float[Tensor, "R N H"], wanted: Float[Tensor, "R N K"]) -> Float[Tensor, "R N H"]:
        """Of the cross-entropy, where probabilities are wanted."""
        return torch.softmax(outputs, dim=-1) * wanted.sum(-1, keepdim=True) - wanted

    def policy(self, layers: Layers, own: Float[Tensor, "W"]) -> NetworkPolicy:
        return NetworkPolicy.from_layers(layers, "tanh", "log_probability")


@dataclass(frozen=True)
class _Categorical(Choices):
    log_policy: Float[Tensor, "R N A"]

    def log_prob(self, actions: Tensor) -> Float[Tensor, "R N"]:
        return self.log_policy.gather(-1, actions[..., None])[..., 0]

    def gradient(
        self, actions: Tensor, of_log_prob: Float[Tensor, "R N"], of_entropy: float
    ) -> tuple[Float[Tensor, "R N H"], Float[Tensor, "R W"]]:
        policy, of_chosen = self.log_policy.exp(), of_log_prob[..., None]
        of_logits = -of_chosen * policy
        of_logits.scatter_add_(-1, actions[..., None], of_chosen)
        if of_entropy:
            entropy = -(policy * self.log_policy).sum(-1, keepdim=True)
            of_logits += of_entropy * policy * (self.log_policy + entropy)
        return of_logits, of_logits.new_zeros(len(of_logits), 0)


@dataclass(frozen=True)
class Vectors(ActionDistribution):
    """Vectors of independent normal numbers, with an output for the mean of each.

    A drawn vector may lie outside of the unit box. Environments are given it clipped; its density is that before.
    """

    actions: VectorActions

    @property
    def n_outputs(self) -> int:  # type: ignore[override]
        return self.actions.size

    @property
    def n_own(self) -> int:  # type: ignore[override]
        return self.actions.size

    def empty(self, *shape: int) -> np.ndarray:
        return np.empty((*shape, self.actions.size), dtype=np.float32)

    def draws(self, stream: np.random.Generator, *shape: int) -> np.ndarray:
        return stream.standard_normal((*shape, self.actions.size))

    def drawn(self, outputs: np.ndarray, own: np.ndarray, draws: np.ndarray) -> Float[np.ndarray, "R N D"]:
        return np.nan_to_num(outputs + np.exp(own)[:, None] * draws).astype(np.float32)

    def taken(self, actions: np.ndarray) -> np.ndarray:
        return actions.clip(-1.0, 1.0)

    def choices(self, outputs: Float[Tensor, "R N H"], own: Float[Tensor, "R W"]) -> "_Gaussian":
        return _Gaussian(outputs, own[:, None])

    def imitation(self, outputs: Float[Tensor, "R N H"], wanted: Float[Tensor, "R N K"]) -> Float[Tensor, "R N H"]:
        """Of the squared distance, where means are wanted."""
        return 2 * (outputs - wanted)

    def policy(self, layers: Layers, own: Float[Tensor, "W"]) -> GaussianPolicy:
        (weight, bias), before = layers[-1], layers[:-1]
        last = torch.cat([weight, torch.zeros_like(weight)]), torch.cat([bias, own])
        return GaussianPolicy.from_layers([*before, last], "tanh", "clip", self.actions)


@dataclass(frozen=True)
class _Gaussian(Choices):
    mean: Float[Tensor, "R N D"]
    log_std: Float[Tensor, "R 1 D"]

    def _deviation(self, actions: Float[Tensor, "R N D"]) -> Float[Tensor, "R N D"]:
        return (actions - self.mean) * (-self.log_std).exp()

    def log_prob(self, actions: Float[Tensor, "R N D"]) -> Float[Tensor, "R N"]:
        constant = self.log_std + 0.5 * math.log(2 * math.pi)
        return -(0.5 * self._deviation(actions).square() + constant).sum(-1)

    def gradient(
        self, actions: Float[Tensor, "R N D"], of_log_prob: Float[Tensor, "R N"], of_entropy: float
    ) -> tuple[Float[Tensor, "R N H"], Float[Tensor, "R W"]]:
        deviation, weight = self._deviation(actions), of_log_prob[..., None]
        of_log_std = (weight * (deviation.square() - 1)).sum(1) - of_entropy * self.mean.shape[1]
        return weight * deviation * (-self.log_std).exp(), of_log_std


def distribution_of(actions: Actions) -> ActionDistribution:
    """The kind that fits these actions."""
    if isinstance(actions, VectorActions):
        return Vectors(actions)
    assert isinstance(actions, NumberedActions)
    return Numbers(actions.count)
