"""Which segments are asked about."""

from typing import Any

import pytest
import torch

from mavrl.feedback.queries import Posterior, Query, UniformQuery
from mavrl.model.reward_model import RewardModel
from mavrl.types import Transitions

KINDS = ("preference", "demonstration", "rating", "stop")


class Backwards(Query):
    """Asks about the last candidates, the last one first, and remembers what it was given."""

    def __init__(self, candidates: int = 1) -> None:
        super().__init__(candidates)
        self._seen: list[tuple[Transitions, Posterior | None, int]] = []

    def choose(self, candidates: Any, posterior: Any, count: int, generators: Any) -> torch.Tensor:
        self._seen.append((candidates, posterior, len(generators)))
        n = candidates.action.shape[1]
        return torch.arange(n - 1, n - 1 - count, -1).expand(len(generators), -1)

    @property
    def identity(self) -> dict[str, Any]:
        return {"class": "backwards", "candidates": self.candidates}


@pytest.mark.parametrize("kind", KINDS)
def test_uniform_asks_about_the_first_candidates(kind: str, make_source: Any, simulate: Any, equal: Any) -> None:
    plain = simulate(make_source(kind, 5), [0, 1])
    assert equal(simulate(make_source(kind, 5), [0, 1], query=UniformQuery(3)), plain)


@pytest.mark.parametrize("world", ["grid", "control"])
@pytest.mark.parametrize("kind", ["preference", "rating", "stop"])
def test_a_rule_chooses_among_the_segments_that_more_questions_would_be_about(
    kind: str, world: str, make_source: Any, simulate: Any, simulators: Any
) -> None:
    query = Backwards(candidates=3)
    asked = simulate(make_source(kind, 4), [0, 1], simulators[world], query=query).transitions
    (candidates, posterior, replicates), *more = query._seen
    assert more == []
    assert posterior is None
    assert replicates == 2
    all_of_them = simulate(make_source(kind, 12), [0, 1], simulators[world]).transitions
    assert candidates.action.equal(all_of_them.action)
    assert asked.state.equal(all_of_them.state[:, [11, 10, 9, 8]])


def test_labels_are_those_of_what_was_chosen(make_source: Any, make_problem: Any, simulate: Any) -> None:
    problem = make_problem()
    batch = simulate(make_source("preference", 6, teacher_rationality=1e6), [0], problem, query=Backwards(candidates=4))
    reward = problem.reward[0][batch.transitions.state]
    valid = batch.transitions.valid
    mean = (reward * valid).sum(-1) / valid.sum(-1)
    difference = mean[..., 0] - mean[..., 1]
    clear = difference.abs() > 1e-3
    assert clear.any()
    assert batch.first_preferred[clear].equal(difference[clear] > 0)


def test_answers_are_kept_for_the_rule_and_its_settings(make_source: Any, nobody: Any) -> None:
    def key(n: int, query: Query) -> dict[str, Any]:
        return make_source("rating", n).module(nobody, [0], query=query).key(0, "train")

    assert key(4, UniformQuery()) == key(7, UniformQuery())  # a prefix serves
    assert key(4, UniformQuery()) != key(4, Backwards())
    assert key(4, Backwards(2)) != key(4, Backwards(3))
    assert key(4, Backwards()) != key(7, Backwards())  # the first four of seven may be others


def test_reward_models_are_what_a_rule_may_read() -> None:
    assert issubclass(RewardModel, Posterior)


@pytest.mark.parametrize("kind", ["preference", "rating"])
def test_how_many_answers_are_kept_changes_no_question(kind: str, simulate: Any, make_source: Any, equal: Any) -> None:
    """Of more questions this rule would choose others, so it is asked for no more than are learned from."""
    plain = simulate(make_source(kind, 4), [0, 1], query=Backwards(3))
    assert equal(simulate(make_source(kind, 4, 9), [0, 1], query=Backwards(3)), plain)
