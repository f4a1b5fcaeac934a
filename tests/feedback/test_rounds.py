"""Rounds of questions: how many, about whom, and what is learned from in the end."""

import math
from collections.abc import Mapping
from typing import Any

import pytest
import torch

from mavrl.feedback.bpref import BPrefTeacher
from mavrl.feedback.queries import Candidates, Query
from mavrl.feedback.rounds import ask_round, held_out, share_of_round
from mavrl.simulation.tabular import TabularSimulator

SEEDS = [0, 1]


class Uneven(Query):
    """Asks replicate 0 about candidates 1 and 0, and replicate 1 about candidate 2 alone."""

    def choose(self, pools: Mapping[str, Candidates], limits: Any, budget: float, generators: Any) -> Any:
        return {kind: torch.tensor([[1, 0], [-1, 2]]) for kind in pools}


def nothing(kind: str, steps: Any) -> None:
    return None


@pytest.fixture
def simulator(make_problem: Any) -> TabularSimulator:
    return TabularSimulator(make_problem())


@pytest.mark.parametrize(("total", "count"), [(7, 3), (1, 5), (0, 2), (256, 5), (4, 4)])
def test_rounds_share_a_total(total: int, count: int) -> None:
    shares = [share_of_round(total, number, count) for number in range(count)]
    assert sum(shares) == total
    assert max(shares) - min(shares) <= 1


@pytest.mark.parametrize("kind", ["preference", "rating", "stop"])
def test_what_is_not_asked_is_padding_that_comes_last(make_source: Any, simulator: TabularSimulator, kind: str) -> None:
    module = make_source(kind, 6).module(simulator, SEEDS, query=Uneven(3))
    drawn = module.pool(simulator, [(seed, kind, "round 0") for seed in SEEDS], 3 * 2, 4).transitions.state
    for number in range(2):
        asked = ask_round({kind: module}, simulator, number, {kind: 2}, math.inf, 4, nothing)
        assert asked == {kind: 2}
    learned = module.sets["train"]
    assert learned.valid_samples.tolist() == [[True, True, True, True], [True, True, False, False]]
    assert module.sizes().tolist() == [4, 2]
    assert torch.equal(learned.transitions.state[0, :2], drawn[0, [1, 0]])
    assert torch.equal(learned.transitions.state[1, 0], drawn[1, 2])


def test_what_got_no_answer_was_asked(make_source: Any, simulator: TabularSimulator) -> None:
    """Beside what was not asked; and a teacher is calibrated on the same segments in all rounds."""
    who = BPrefTeacher(None, 0.0, 0.6, 0.0, 1.0)
    module = make_source("preference", 12).module(simulator, SEEDS, teacher=who)
    for number in range(2):
        assert ask_round({"preference": module}, simulator, number, {"preference": 6}, math.inf, 4, nothing) == {
            "preference": 6
        }
    learned = module.sets["train"]
    assert (module.sizes() + module.skipped).tolist() == [12, 12]
    assert 0 < int(module.skipped.min()) <= int(module.skipped.max()) < 12
    for valid, size in zip(learned.valid_samples.tolist(), module.sizes().int().tolist(), strict=True):
        assert valid == [k < size for k in range(len(valid))]
    uneven = make_source("preference", 6).module(simulator, SEEDS, query=Uneven(3), teacher=who)
    ask_round({"preference": uneven}, simulator, 0, {"preference": 2}, math.inf, 4, nothing)
    assert (uneven.sizes() + uneven.skipped).tolist() == [2, 1]


def test_an_oracle_needs_no_calibration(make_source: Any, simulator: TabularSimulator) -> None:
    module = make_source("preference", 6).module(simulator, SEEDS, teacher=BPrefTeacher(None, 0.0, 0.0, 0.0, 1.0))
    assert module.known().reward.shape[1] == 1
    ask_round({"preference": module}, simulator, 0, {"preference": 6}, math.inf, 4, nothing)
    assert module.sizes().tolist() == [6, 6]
    assert module.skipped.tolist() == [0, 0]


def test_rounds_ask_different_questions(make_source: Any, simulator: TabularSimulator) -> None:
    module = make_source("rating", 8).module(simulator, SEEDS)
    for number in range(2):
        ask_round({"rating": module}, simulator, number, {"rating": 4}, math.inf, 4, nothing)
    first, second = (module.sets["train"].transitions.state[:, part] for part in (slice(0, 4), slice(4, 8)))
    assert not torch.equal(first, second)


def test_a_teacher_is_the_same_person_in_all_rounds(make_source: Any, simulator: TabularSimulator) -> None:
    """What models are told of him does not depend on who acts in the round."""
    module = make_source("stop", 4).module(simulator, SEEDS)
    q = torch.zeros(2, *simulator.problem.q.shape[1:], dtype=torch.float64)
    rates = []
    for number, acting in enumerate((simulator, TabularSimulator(simulator.problem, q))):
        ask_round({"stop": module}, acting, number, {"stop": 2}, math.inf, 4, nothing)
        rates.append(module.likelihood().rate.clone())
    assert torch.equal(*rates)


def test_held_out_answers_are_no_part_of_what_is_learned_from(make_source: Any, simulator: TabularSimulator) -> None:
    module = make_source("preference", 5).module(simulator, SEEDS)
    examined = held_out({"preference": module}, 20)["preference"]
    assert examined.transitions.action.shape[:2] == (2, 5)  # no more than there is a budget
    assert "train" not in module.sets
    assert held_out({"preference": module}, 20)["preference"].transitions.state.equal(examined.transitions.state)
