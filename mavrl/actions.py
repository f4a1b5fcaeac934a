"""The actions of an environment: numbers from 0, or vectors in a box.

Inside of this package vectors are in the unit box, whatever the bounds of the environment: every number is from -1 at
its lower bound to 1 at its upper one. Environments, folders and users of a learned reward have them in its units.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import torch
from gymnasium import spaces
from jaxtyping import Float, Int
from torch import Tensor

Values = TypeVar("Values", np.ndarray, Tensor)


class Actions(ABC):
    """The actions of an environment."""

    @property
    @abstractmethod
    def space(self) -> spaces.Space:
        """The space of actions, as Gymnasium has it, in the environment's units."""

    @abstractmethod
    def to_unit(self, action: Values) -> Values:
        """Actions as this package has them, from those in the environment's units; beyond a bound is on it."""

    @abstractmethod
    def from_unit(self, action: Values) -> Values:
        """Actions in the environment's units, from those that this package has."""

    @property
    @abstractmethod
    def in_words(self) -> str:
        """How many there are, or how long they are, for messages."""

    @property
    @abstractmethod
    def described(self) -> dict[str, Any]:
        """What tells them from others, in plain values, for `described_actions`."""


@dataclass(frozen=True)
class NumberedActions(Actions):
    """Actions 0 to A - 1."""

    count: int

    @property
    def space(self) -> spaces.Discrete:
        return spaces.Discrete(self.count)

    def to_unit(self, action: Values) -> Values:
        return action

    def from_unit(self, action: Values) -> Values:
        return action

    @property
    def in_words(self) -> str:
        return f"{self.count} actions"

    @property
    def described(self) -> dict[str, Any]:
        return {"n_actions": self.count}


@dataclass(frozen=True)
class VectorActions(Actions):
    """Vectors of D numbers, each between two bounds.

    Args:
        low, high: bounds of each number, finite, in the environment's units.
    """

    low: tuple[float, ...]
    high: tuple[float, ...]

    @property
    def size(self) -> int:
        """Numbers in a vector, D."""
        return len(self.low)

    @property
    def space(self) -> spaces.Box:
        return spaces.Box(np.array(self.low, np.float32), np.array(self.high, np.float32), dtype=np.float32)

    @property
    def in_words(self) -> str:
        return f"vectors of {self.size} numbers as actions"

    @property
    def described(self) -> dict[str, Any]:
        return {"action_low": list(self.low), "action_high": list(self.high)}

    def to_unit(self, action: Values) -> Values:
        middle, half = self._scale(action)
        unit = (action - middle) / half
        return unit.clip(-1.0, 1.0)

    def from_unit(self, action: Values) -> Values:
        middle, half = self._scale(action)
        return middle + half * action

    def _scale(self, like: Values) -> tuple[Values, Values]:
        low, high = np.array(self.low), np.array(self.high)
        middle, half = (low + high) / 2, (high - low) / 2
        if isinstance(like, Tensor):
            return torch.from_numpy(middle).to(like), torch.from_numpy(half).to(like)  # type: ignore[return-value]
        return middle.astype(like.dtype), half.astype(like.dtype)


def actions_of(space: spaces.Space) -> Actions | None:
    """The actions in a space; None where they are neither numbered nor vectors between finite bounds."""
    if isinstance(space, spaces.Discrete):
        return NumberedActions(int(space.n))
    if isinstance(space, spaces.Box) and len(space.shape) == 1 and space.dtype.kind == "f":
        low, high = (tuple(map(float, bound)) for bound in (space.low, space.high))
        if all(np.isfinite(low)) and all(np.isfinite(high)) and all(a < b for a, b in zip(low, high, strict=True)):
            return VectorActions(low, high)
    return None


def described_actions(values: dict[str, Any]) -> Actions:
    """The actions that `Actions.described` told of."""
    if "action_low" in values:
        return VectorActions(tuple(values["action_low"]), tuple(values["action_high"]))
    return NumberedActions(values["n_actions"])


def drawn(
    probabilities: Float[np.ndarray, "*batch A"], draws: Float[np.ndarray, "*batch 1"]
) -> Int[np.ndarray, "*batch"]:
    """Numbered actions of these probabilities, from draws that are uniform in [0, 1)."""
    return np.asarray((draws >= probabilities.cumsum(-1)[..., :-1]).sum(-1))
