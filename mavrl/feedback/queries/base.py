"""The contract of a query rule: pools of candidates in, numbers of the questions to ask out.

A kind of feedback draws candidates: segments, pairs of them or episodes, with a uniform episode and a uniform start. A
rule chooses among them, of one kind or of several that compete for the same budget. `conf/query/` has one file for each
rule.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor

from mavrl.types import Transitions

Worth = Mapping[str, Shaped[Tensor, "_"]]  # of each candidate of each kind: the higher, the sooner it is asked about


@dataclass(frozen=True)
class Candidates:
    """What could be asked about, of one kind of feedback.

    Args:
        kind: of feedback.
        transitions: steps of shape (R, C, T), or (R, C, P=2, T) for pairs; nothing tells their true reward.
        outcomes: log-probability of each possible answer under each of K reward functions drawn from the posterior,
            shape (R, K, C, Y), the same functions for all kinds. Of demonstrations the probability of each action at
            each step, shape (R, K, C, T, A). None before anything has been learned.
        cost: of one question, above 0, in the unit of the budget.
    """

    kind: str
    transitions: Transitions
    outcomes: Float[Tensor, "R K C *steps Y"] | None = None
    cost: float = 1.0

    def __post_init__(self) -> None:
        steps = tuple(self.transitions.valid.shape)
        if not self.cost > 0:
            raise ValueError(f"{self.kind}: a question costs more than 0, got {self.cost}")
        if self.outcomes is not None:
            shape = tuple(self.outcomes.shape)
            answered = shape[:1] + shape[2:-1]  # (R, C), and T where each step is answered
            if len(answered) not in (2, 3) or answered != steps[: len(answered)]:
                raise ValueError(f"{self.kind}: transitions {steps} and outcomes {shape} do not fit")

    def __len__(self) -> int:
        """Number of candidates C of a replicate, with those that fill up."""
        return self.transitions.valid.shape[1]

    @property
    def real(self) -> Bool[Tensor, "R C"]:
        """Which candidates are real; the others fill up replicates that have fewer."""
        return self.transitions.valid.flatten(2).any(-1)

    @property
    def answered(self) -> Bool[Tensor, "R C *steps"]:
        """Which answers of each candidate are real: all of one answer, or of each step that is no padding."""
        by_step = self.outcomes is not None and self.outcomes.ndim == 5
        return self.transitions.valid if by_step else self.real


class Query(ABC):
    """A rule that chooses which candidates are asked about.

    Args:
        candidates: drawn for each question, at least 1.
        samples: reward functions K that `Candidates.outcomes` is wanted for; 0 where the rule does not read them.
    """

    # Whether the first n questions are the same however many are asked: then answers to more serve as answers to fewer.
    begins_alike: ClassVar[bool] = False

    def __init__(self, candidates: int = 1, samples: int = 0) -> None:
        self.candidates = candidates
        self.samples = samples

    @abstractmethod
    def choose(
        self,
        pools: Mapping[str, Candidates],
        limits: Mapping[str, int],
        budget: float,
        generators: list[torch.Generator],
    ) -> dict[str, Int[Tensor, "R _"]]:
        """Numbers of the candidates to ask about, of each kind, different ones for each replicate.

        With one kind and a budget without end these are as many as its limit.

        Args:
            pools: candidates by kind.
            limits: at most so many questions of each kind, for each replicate.
            budget: that the questions of a replicate may cost together; `math.inf` where only the limits count.
            generators: sources of chance, one for each replicate.

        Returns:
            For each kind rows in the order of choice; -1 fills up replicates that ask fewer questions of it.
        """

    @property
    def identity(self) -> dict[str, Any]:
        """Which rule this is, with all its settings."""
        return {"class": f"{type(self).__module__}.{type(self).__qualname__}", **vars(self)}


def before_learning(pools: Mapping[str, Candidates]) -> bool:
    """Whether some kind has no outcomes yet, so that kinds cannot be compared by them."""
    return any(pool.outcomes is None for pool in pools.values())


def spend(
    pools: Mapping[str, Candidates],
    limits: Mapping[str, int],
    budget: float,
    replicate: int,
    worth: Worth,
    chosen: Callable[[str, int], Worth] | None = None,
) -> dict[str, list[int]]:
    """The choice of one replicate: always the candidate of most worth that its kind's limit and the budget allow.

    Candidates of equal worth come in their order, and kinds in that of the pools.

    Args:
        worth: of all candidates, for what they cost.
        chosen: told of each choice; returns what the candidates are worth then. None where that does not change.
    """
    asked: dict[str, list[int]] = {kind: [] for kind in pools}
    free = {kind: pool.real[replicate].clone() for kind, pool in pools.items()}
    while True:
        best: tuple[float, str, int] | None = None
        for kind, pool in pools.items():
            affordable = pool.cost <= budget * (1 + 1e-9)  # ten tenths are one
            if len(asked[kind]) < limits[kind] and affordable and bool(free[kind].any()):
                value, number = torch.where(free[kind], worth[kind].double(), -math.inf).max(0)
                if best is None or float(value) > best[0]:
                    best = float(value), kind, int(number)
        if best is None:
            return asked
        _, kind, number = best
        asked[kind].append(number)
        free[kind][number] = False
        budget -= pools[kind].cost
        if chosen is not None:
            worth = chosen(kind, number)


def most_worth(
    pools: Mapping[str, Candidates],
    limits: Mapping[str, int],
    budget: float,
    worth: Mapping[str, Shaped[Tensor, "R _"]],
) -> dict[str, Int[Tensor, "R _"]]:
    """The choice of a rule that gives each candidate a worth, whatever else is chosen: what `Query.choose` returns.

    Args:
        worth: of each candidate of each kind, for what it costs, shape (R, C).
    """
    n_replicates = len(next(iter(worth.values())))
    return padded(
        [
            spend(pools, limits, budget, replicate, {kind: row[replicate] for kind, row in worth.items()})
            for replicate in range(n_replicates)
        ]
    )


def padded(asked: list[dict[str, list[int]]]) -> dict[str, Int[Tensor, "R _"]]:
    """The choices of all replicates by kind, filled up with -1."""
    result = {}
    for kind in asked[0]:
        rows = [one[kind] for one in asked]
        longest = max(map(len, rows))
        result[kind] = torch.tensor([row + [-1] * (longest - len(row)) for row in rows], dtype=torch.int64)
        result[kind] = result[kind].view(len(rows), longest)
    return result
