"""Queries: rules that choose which segments are asked about.

A kind of feedback draws candidates: segments, or pairs of them, with a uniform episode and a uniform start. A query
chooses among them. `conf/query/` has one file for each rule.
"""

from abc import ABC, abstractmethod
from typing import Any, ClassVar, Protocol, runtime_checkable

import torch
from jaxtyping import Int
from torch import Tensor

from mavrl.types import Transitions


@runtime_checkable
class Posterior(Protocol):
    """What is believed of the reward: the part of `mavrl.model.reward_model.RewardModel` that queries may read."""

    def mean(self, state: Any, action: Any, next_state: Any) -> Any:
        """Posterior mean of the reward of each transition, shape (R, N...)."""
        ...

    def std(self, state: Any, action: Any, next_state: Any) -> Any:
        """Posterior standard deviation of the reward of each transition, shape (R, N...)."""
        ...

    def sample(self, state: Any, action: Any, next_state: Any, seed: int = 0) -> Any:
        """The reward of each transition under one reward function, shape (R, N...); a seed is a function."""
        ...


class Query(ABC):
    """A rule that chooses which candidates are asked about.

    Args:
        candidates: drawn for each question, at least 1.
    """

    # Whether the first n questions are the same however many are asked: then answers to more serve as answers to fewer.
    begins_alike: ClassVar[bool] = False

    def __init__(self, candidates: int = 1) -> None:
        self.candidates = candidates

    @abstractmethod
    def choose(
        self,
        candidates: Transitions,
        posterior: Posterior | None,
        count: int,
        generators: list[torch.Generator],
    ) -> Int[Tensor, "R count"]:
        """Numbers of the candidates to ask about, `count` different ones for each replicate.

        Args:
            candidates: steps of shape (R, C, T), or (R, C, P=2, T) for pairs; nothing tells their true reward.
            posterior: what is believed so far; None before anything has been learned.
            generators: sources of chance, one for each replicate.
        """

    @property
    def identity(self) -> dict[str, Any]:
        """Which rule this is, with all its settings."""
        return {"class": f"{type(self).__module__}.{type(self).__qualname__}", **vars(self)}


class UniformQuery(Query):
    """Asks about candidates as they come."""

    begins_alike = True

    def choose(
        self, candidates: Transitions, posterior: Posterior | None, count: int, generators: list[torch.Generator]
    ) -> Int[Tensor, "R count"]:
        """The first candidates."""
        return torch.arange(count).expand(len(generators), -1)
