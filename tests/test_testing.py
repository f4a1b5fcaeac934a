"""The tests for users find what is wrong with a rule."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest
import torch
from torch import Tensor

from mavrl.feedback.queries import Candidates, Query, RandomQuery, most_worth
from mavrl.testing import QueryContract


class Rule(Query):
    """A rule that is a function of what `choose` is given."""

    def __init__(self, choice: Callable[..., dict[str, Tensor]]) -> None:
        super().__init__()
        self._choice = choice

    def choose(
        self, pools: Mapping[str, Candidates], limits: Mapping[str, int], budget: float, generators: Any
    ) -> dict[str, Tensor]:
        return self._choice(pools, limits, budget, generators)


def contract_of(choice: Callable[..., dict[str, Tensor]]) -> list[Callable[[], None]]:
    class Contract(QueryContract):
        def rule(self) -> Query:
            return Rule(choice)

    contract = Contract()
    return [getattr(contract, name) for name in dir(contract) if name.startswith("test_")]


def random(*arguments: Any) -> dict[str, Tensor]:
    return RandomQuery().choose(*arguments)


def without_budget(pools: Any, limits: Any, budget: float, generators: Any) -> dict[str, Tensor]:
    return random(pools, limits, float("inf"), generators)


def repeated(*arguments: Any) -> dict[str, Tensor]:
    return {kind: rows.clamp(max=0) for kind, rows in random(*arguments).items()}


def nothing(*arguments: Any) -> dict[str, Tensor]:
    return {kind: rows[:, :0] for kind, rows in random(*arguments).items()}


def beyond_limits(pools: Any, limits: Any, budget: float, generators: Any) -> dict[str, Tensor]:
    return random(pools, {kind: limit + 1 for kind, limit in limits.items()}, budget, generators)


def padding(pools: Any, limits: Any, budget: float, generators: Any) -> dict[str, Tensor]:
    return {
        kind: torch.arange(min(limits[kind], len(pool))).expand(len(generators), -1) for kind, pool in pools.items()
    }


def like_the_first(pools: Any, limits: Any, budget: float, generators: Any) -> dict[str, Tensor]:
    moves = {kind: pool.transitions.state.flatten(2).sum(-1) for kind, pool in pools.items()}
    return most_worth(pools, limits, budget, {kind: sums + sums[:1] for kind, sums in moves.items()})


@pytest.mark.parametrize("choice", [without_budget, repeated, nothing, beyond_limits, padding, like_the_first])
def test_a_wrong_rule_fails(choice: Any) -> None:
    failed = 0
    for test in contract_of(choice):
        try:
            test()
        except AssertionError:
            failed += 1
    assert failed > 0


def test_a_right_one_does_not() -> None:
    for test in contract_of(random):
        test()


def test_a_simple_one_is_a_worth() -> None:
    def moves(pools: Any, limits: Any, budget: float, generators: Any) -> dict[str, Tensor]:
        changed = {
            kind: ((pool.transitions.state != pool.transitions.next_state) & pool.transitions.valid).flatten(2).sum(-1)
            for kind, pool in pools.items()
        }
        return most_worth(pools, limits, budget, changed)

    for test in contract_of(moves):
        test()
