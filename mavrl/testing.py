"""Tests for what others add: inherit the class, say what is tested, and let pytest find it.

from mavrl.testing import QueryContract

class TestEventful(QueryContract):
    def rule(self):
        return EventfulQuery(candidates=4)
"""

import math
from abc import ABC, abstractmethod
from dataclasses import replace

import torch
from torch import Tensor

from mavrl.feedback.queries.base import Candidates, Query
from mavrl.types import Transitions

_FUNCTIONS, _STATES, _ACTIONS = 9, 6, 4


class QueryContract(ABC):
    """What every query rule promises, about candidates of all kinds, in a finite environment."""

    @abstractmethod
    def rule(self) -> Query:
        """The rule, new."""

    def test_one_kind_gets_as_many_questions_as_its_limit(self) -> None:
        for pools in (self._pools(), _before_learning(self._pools())):
            chosen = self.rule().choose({"preference": pools["preference"]}, {"preference": 8}, math.inf, _sources())
            assert chosen["preference"].shape == (2, 8)
            assert all(len(set(row)) == 8 and 0 <= min(row) <= max(row) < 20 for row in chosen["preference"].tolist())

    def test_budget_and_limits_are_kept_and_used_up(self) -> None:
        limits = {"preference": 6, "rating": 10, "stop": 3, "demonstration": 2}
        for pools in (self._pools(), _before_learning(self._pools())):
            for budget in (0.0, 0.5, 3.0, 11.3, 100.0, math.inf):
                chosen = self.rule().choose(pools, limits, budget, _sources())
                assert set(chosen) == set(pools)
                for replicate in range(2):
                    self._check(pools, limits, budget, replicate, chosen)

    def _check(
        self,
        pools: dict[str, Candidates],
        limits: dict[str, int],
        budget: float,
        replicate: int,
        chosen: dict[str, Tensor],
    ) -> None:
        rest = budget
        for kind, pool in pools.items():
            row = chosen[kind][replicate].tolist()
            asked = [number for number in row if number >= 0]
            assert row == asked + [-1] * (len(row) - len(asked)), f"{kind}: -1 comes after all numbers"
            assert len(set(asked)) == len(asked) <= limits[kind], f"{kind}: other questions, no more than its limit"
            assert bool(pool.real[replicate, asked].all()), f"{kind}: only candidates that are real"
            rest -= pool.cost * len(asked)
        assert rest >= -1e-9, "the questions cost more than the budget"
        for kind, pool in pools.items():
            left = min(limits[kind], int(pool.real[replicate].sum())) - int((chosen[kind][replicate] >= 0).sum())
            assert left == 0 or pool.cost > rest, f"{kind}: one more could be asked"

    def test_the_same_chance_is_the_same_choice(self) -> None:
        limits = dict.fromkeys(self._pools(), 4)
        first, again = (self.rule().choose(self._pools(), limits, 9.0, _sources()) for _ in range(2))
        assert all(first[kind].equal(again[kind]) for kind in limits)

    def test_a_replicate_depends_on_itself_alone(self) -> None:
        pools, limits = self._pools(), dict.fromkeys(self._pools(), 4)
        second = {
            kind: replace(
                pool,
                transitions=pool.transitions.map(lambda tensor: tensor[1:]),
                outcomes=None if pool.outcomes is None else pool.outcomes[1:],
            )
            for kind, pool in pools.items()
        }
        both = self.rule().choose(pools, limits, 9.0, _sources())
        alone = self.rule().choose(second, limits, 9.0, _sources()[1:])
        for kind in limits:
            found = [row[row >= 0].tolist() for row in (both[kind][1], alone[kind][0])]
            assert found[0] == found[1]

    @staticmethod
    def _pools() -> dict[str, Candidates]:
        """Pairs, ratings, stops and episodes, for two replicates; the second has fewer ratings. Costs differ."""
        generator = torch.Generator().manual_seed(7)

        def pool(kind: str, cost: float, count: int, steps: tuple[int, ...], answers: tuple[int, ...]) -> Candidates:
            shape = (2, count, *steps)
            state, following = torch.randint(_STATES, (2, *shape), generator=generator)
            action, after = torch.randint(_ACTIONS, (2, *shape), generator=generator)
            valid = torch.ones(shape, dtype=torch.bool)
            valid[:, ::3, ..., -1] = False
            if kind == "rating":
                valid[1, 4:] = False
            outcomes = torch.randn(2, _FUNCTIONS, count, *answers, generator=generator).log_softmax(-1)
            return Candidates(
                kind, Transitions(state, action, following, after, torch.zeros_like(valid), valid), outcomes, cost
            )

        return {
            "preference": pool("preference", 1.0, 20, (2, 3), (2,)),
            "rating": pool("rating", 0.7, 12, (3,), (5,)),
            "stop": pool("stop", 1.5, 12, (3,), (4,)),
            "demonstration": pool("demonstration", 4.0, 3, (5,), (5, _ACTIONS)),
        }


def _before_learning(pools: dict[str, Candidates]) -> dict[str, Candidates]:
    return {kind: replace(pool, outcomes=None) for kind, pool in pools.items()}


def _sources() -> list[torch.Generator]:
    return [torch.Generator().manual_seed(k) for k in range(2)]
