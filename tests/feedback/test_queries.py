"""Which questions are asked."""

import itertools
import math
from collections.abc import Mapping
from typing import Any

import pytest
import torch
from torch import Tensor

from mavrl.feedback.information import information_gain
from mavrl.feedback.queries import Candidates, DisagreementQuery, InformationGainQuery, Query, RandomQuery
from mavrl.feedback.queries.base import spend
from mavrl.feedback.queries.information_gain import gain_of
from mavrl.testing import QueryContract
from mavrl.types import Transitions

KINDS = ("preference", "demonstration", "rating", "stop")
RULES = {"random": RandomQuery, "disagreement": DisagreementQuery, "information_gain": InformationGainQuery}


class Backwards(Query):
    """Asks about the last candidates, the last one first, and remembers what it was given."""

    def __init__(self, candidates: int = 1) -> None:
        super().__init__(candidates)
        self._seen: list[tuple[Mapping[str, Candidates], Mapping[str, int], float, int]] = []

    def choose(self, pools: Any, limits: Any, budget: float, generators: Any) -> dict[str, Tensor]:
        self._seen.append((pools, limits, budget, len(generators)))
        found = {}
        for kind, pool in pools.items():
            last = len(pool) - 1
            found[kind] = torch.arange(last, last - limits[kind], -1).expand(len(generators), -1)
        return found

    @property
    def identity(self) -> dict[str, Any]:
        return {"class": "backwards", "candidates": self.candidates}


def generators(n: int, seed: int = 0) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(seed + k) for k in range(n)]


def transitions(*shape: int, real: Tensor | None = None) -> Transitions:
    zeros = torch.zeros(shape, dtype=torch.int64)
    valid = torch.ones(shape, dtype=torch.bool) if real is None else real
    return Transitions(zeros, zeros, zeros, zeros, torch.zeros_like(valid), valid)


def pool(outcomes: Tensor | None, kind: str = "rating", cost: float = 1.0, real: Tensor | None = None) -> Candidates:
    """Candidates with these probabilities of answers, (R, K, C, Y): segments of three steps."""
    assert outcomes is not None
    shape = (outcomes.shape[0], outcomes.shape[2], 3)
    return Candidates(kind, transitions(*shape, real=real), outcomes, cost)


def log_probs(*shape: int, seed: int = 0, spread: float = 2.0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return (spread * torch.randn(*shape, generator=generator)).log_softmax(-1)


def of_first(*probabilities: list[float]) -> Tensor:
    """Outcomes (1, K, C, 2) of candidates, each given by p(first preferred) under each of the K functions."""
    p = torch.tensor(probabilities, dtype=torch.float64).T[None]
    return torch.stack([1 - p, p], dim=-1).log()


# In the DataModules ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("kind", KINDS)
def test_the_first_candidates_before_anything_is_learned(
    kind: str, rule: str, make_source: Any, simulate: Any, equal: Any
) -> None:
    plain = simulate(make_source(kind, 5), [0, 1])
    assert equal(simulate(make_source(kind, 5), [0, 1], query=RULES[rule](3)), plain)


@pytest.mark.parametrize("world", ["grid", "control"])
@pytest.mark.parametrize("kind", ["preference", "rating", "stop"])
def test_a_rule_chooses_among_the_segments_that_more_questions_would_be_about(
    kind: str, world: str, make_source: Any, simulate: Any, simulators: Any
) -> None:
    query = Backwards(candidates=3)
    asked = simulate(make_source(kind, 4, cost=2.5), [0, 1], simulators[world], query=query).transitions
    (pools, limits, budget, replicates), *more = query._seen
    assert more == []
    assert (dict(limits), budget, replicates) == ({kind: 4}, math.inf, 2)
    assert (pools[kind].kind, pools[kind].outcomes, pools[kind].cost) == (kind, None, 2.5)
    all_of_them = simulate(make_source(kind, 12), [0, 1], simulators[world]).transitions
    assert pools[kind].transitions.action.equal(all_of_them.action)
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

    assert key(4, RandomQuery()) == key(7, RandomQuery())  # a prefix serves
    assert key(4, RandomQuery()) != key(4, Backwards())
    assert key(4, Backwards(2)) != key(4, Backwards(3))
    assert key(4, Backwards()) != key(7, Backwards())  # the first four of seven may be others
    assert key(4, InformationGainQuery(2)) != key(4, DisagreementQuery(2))
    assert key(4, InformationGainQuery(2, 50)) != key(4, InformationGainQuery(2, 60))


@pytest.mark.parametrize("kind", ["preference", "rating"])
def test_how_many_answers_are_kept_changes_no_question(kind: str, simulate: Any, make_source: Any, equal: Any) -> None:
    """Of more questions this rule would choose others, so it is asked for no more than are learned from."""
    plain = simulate(make_source(kind, 4), [0, 1], query=Backwards(3))
    assert equal(simulate(make_source(kind, 4, 9), [0, 1], query=Backwards(3)), plain)


# What all rules promise -----------------------------------------------------------------------------------------------


class TestRandomKeepsTheContract(QueryContract):
    def rule(self) -> Query:
        return RandomQuery()


class TestDisagreementKeepsTheContract(QueryContract):
    def rule(self) -> Query:
        return DisagreementQuery()


class TestInformationGainKeepsTheContract(QueryContract):
    def rule(self) -> Query:
        return InformationGainQuery()


# Each rule ------------------------------------------------------------------------------------------------------------


class TestRandom:
    def test_no_chance_is_used_where_the_budget_does_not_end(self) -> None:
        sources = generators(2)
        before = [source.get_state() for source in sources]
        pools = {kind: pool(torch.zeros(2, 1, 9, 2), kind) for kind in ("preference", "rating")}
        chosen = RandomQuery().choose(pools, {"preference": 4, "rating": 3}, math.inf, sources)
        assert chosen["preference"].tolist() == [[0, 1, 2, 3]] * 2
        assert chosen["rating"].tolist() == [[0, 1, 2]] * 2
        assert all(source.get_state().equal(state) for source, state in zip(sources, before, strict=True))

    def test_kinds_take_turns_in_proportion_to_their_limits(self) -> None:
        n = 400
        many = pool(torch.zeros(n, 1, 30, 2), "preference"), pool(torch.zeros(n, 1, 10, 2), "rating")
        chosen = RandomQuery().choose(
            {"preference": many[0], "rating": many[1]}, {"preference": 30, "rating": 10}, 8.0, generators(n)
        )
        counts = [(chosen[kind] >= 0).sum(1).double() for kind in ("preference", "rating")]
        assert (counts[0] + counts[1] == 8).all()
        # Drawn without replacement: mean 6, variance 8 (3/4) (1/4) 32/39 = 1.23; five standard errors.
        assert counts[0].mean().item() == pytest.approx(6, abs=5 * math.sqrt(1.23 / n))
        assert counts[0].var().item() == pytest.approx(1.23, rel=0.5)
        for kind in chosen:  # as they come
            for row in chosen[kind].tolist():
                taken = [i for i in row if i >= 0]
                assert taken == list(range(len(taken)))


class TestDisagreement:
    def test_the_largest_variance_first(self) -> None:
        p = [[0.5, 0.5], [0.1, 0.9], [0.4, 0.6], [0.95, 0.05]]
        chosen = DisagreementQuery().choose({"p": pool(of_first(*p), "p")}, {"p": 4}, math.inf, generators(1))
        assert chosen["p"].tolist() == [[3, 1, 2, 0]]

    def test_whatever_they_have_in_common(self) -> None:
        p = [[0.9, 0.1, 0.9, 0.1], [0.9, 0.1, 0.9, 0.1], [0.8, 0.8, 0.2, 0.2]]
        chosen = DisagreementQuery().choose({"p": pool(of_first(*p), "p")}, {"p": 2}, math.inf, generators(1))
        assert chosen["p"].tolist() == [[0, 1]]

    def test_for_what_it_costs(self) -> None:
        pools = {"dear": pool(of_first([0.9, 0.1]), "dear", 10.0), "cheap": pool(of_first([0.7, 0.3]), "cheap", 1.0)}
        chosen = DisagreementQuery().choose(pools, {"dear": 1, "cheap": 1}, 10.0, generators(1))
        assert chosen["cheap"].tolist() == [[0]]
        assert chosen["dear"].tolist() == [[]]


class TestInformationGain:
    def test_the_largest_gain_first(self) -> None:
        outcomes = log_probs(3, 20, 50, 5)
        chosen = InformationGainQuery().choose({"rating": pool(outcomes)}, {"rating": 1}, math.inf, generators(3))
        assert chosen["rating"].flatten().equal(information_gain(outcomes).argmax(-1))

    def test_noise_is_not_informative_and_disagreement_is(self) -> None:
        p = [[0.5, 0.5], [0.9, 0.9], [0.6, 0.4]]
        candidates = pool(of_first(*p), "p")
        assert gain_of(candidates)[0, :2].tolist() == [0, 0]
        chosen = InformationGainQuery().choose({"p": candidates}, {"p": 1}, math.inf, generators(1))
        assert chosen["p"].tolist() == [[2]]

    def test_the_same_question_is_not_asked_next(self) -> None:
        p = [[0.9, 0.1, 0.9, 0.1], [0.9, 0.1, 0.9, 0.1], [0.8, 0.8, 0.2, 0.2]]
        chosen = InformationGainQuery().choose({"p": pool(of_first(*p), "p")}, {"p": 3}, math.inf, generators(1))
        assert chosen["p"].tolist() == [[0, 2, 1]]

    def test_nor_in_another_kind(self) -> None:
        """A rating that asks what a pair has asked comes after a pair that asks something else."""
        p = [[0.9, 0.1, 0.9, 0.1], [0.8, 0.8, 0.2, 0.2]]
        rating = of_first([0.85, 0.15, 0.85, 0.15])
        pools = {"pair": pool(of_first(*p), "pair"), "rating": pool(rating, "rating")}
        assert gain_of(pools["rating"])[0, 0] > gain_of(pools["pair"])[0, 1]
        chosen = InformationGainQuery().choose(pools, {"pair": 2, "rating": 1}, 2.0, generators(1))
        assert chosen["pair"].tolist() == [[0, 1]]
        assert chosen["rating"].tolist() == [[]]

    @pytest.mark.parametrize("dear", ["preference", "stop"])
    def test_the_cheaper_of_two_equally_informative_kinds(self, dear: str) -> None:
        outcomes = log_probs(1, 20, 5, 2)
        cheap = {"preference": "stop", "stop": "preference"}[dear]
        pools = {kind: pool(outcomes, kind, 10.0 if kind == dear else 1.0) for kind in ("preference", "stop")}
        chosen = InformationGainQuery().choose(pools, {"preference": 5, "stop": 5}, 4.0, generators(1))
        assert (chosen[cheap] >= 0).sum() == 4
        assert chosen[dear].shape == (1, 0)

    def test_a_dear_question_is_asked_where_it_tells_more_for_its_cost(self) -> None:
        pools = {"dear": pool(of_first([0.99, 0.01]), "dear", 2.0), "cheap": pool(of_first([0.6, 0.4]), "cheap", 1.0)}
        chosen = InformationGainQuery().choose(pools, {"dear": 1, "cheap": 1}, 2.0, generators(1))
        assert chosen["dear"].tolist() == [[0]]

    def test_an_episode_is_worth_the_sum_of_its_steps(self) -> None:
        outcomes = log_probs(2, 9, 4, 6, 3)
        valid = torch.rand(2, 4, 6) < 0.6
        valid[..., 0] = True
        candidates = Candidates("demonstration", transitions(2, 4, 6, real=valid), outcomes)
        each = torch.stack([information_gain(outcomes[..., t, :]) for t in range(6)], dim=-1)
        torch.testing.assert_close(gain_of(candidates), (each * valid).sum(-1))

    def test_episodes_of_unequal_length(self) -> None:
        """The padding of an episode tells nothing, whatever is predicted there, also about what follows."""
        valid = torch.tensor([[[True, False, False], [True, True, True]]])
        candidates = Candidates("demonstration", transitions(1, 2, 3, real=valid), log_probs(1, 9, 2, 3, 3))
        chosen = InformationGainQuery().choose({"d": candidates}, {"d": 2}, math.inf, generators(1))
        assert sorted(chosen["d"][0].tolist()) == [0, 1]

    def test_more_questions_than_the_functions_can_tell_apart(self) -> None:
        chosen = InformationGainQuery().choose(
            {"rating": pool(log_probs(1, 3, 40, 5))}, {"rating": 30}, math.inf, generators(1)
        )
        assert len(set(chosen["rating"][0].tolist())) == 30


# Candidates and spending ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(1, 9, 4, 2), (2, 9, 5, 2), (2, 9, 4, 4, 2), (2, 9, 4), (2, 4)])
def test_outcomes_fit_the_candidates(shape: tuple[int, ...]) -> None:
    with pytest.raises((ValueError, TypeError), match=r"do not fit|outcomes"):
        Candidates("rating", transitions(2, 4, 3), torch.zeros(shape))


@pytest.mark.parametrize("cost", [0.0, -1.0, math.nan])
def test_a_question_costs_something(cost: float) -> None:
    with pytest.raises(ValueError, match="costs more than 0"):
        Candidates("rating", transitions(2, 4, 3), None, cost)


def test_ten_tenths_are_one() -> None:
    tenths = {"rating": pool(torch.zeros(1, 1, 12, 2), cost=0.1)}
    asked = spend(tenths, {"rating": 12}, 1.0, 0, {"rating": torch.zeros(12)})
    assert asked["rating"] == list(range(10))


@pytest.mark.parametrize("seed", range(5))
def test_spending_takes_the_most_worth_that_can_be_afforded(seed: int) -> None:
    """Against a plain loop over all candidates in the order of their worth."""
    generator = torch.Generator().manual_seed(seed)
    costs, limits = {"a": 1.0, "b": 2.5, "c": 0.4}, {"a": 3, "b": 9, "c": 4}
    pools = {kind: pool(torch.zeros(1, 1, 8, 2), kind, cost) for kind, cost in costs.items()}
    worth = {kind: torch.rand(8, generator=generator) for kind in pools}
    expected: dict[str, list[int]] = {kind: [] for kind in pools}
    left = 9.0
    everything = sorted(itertools.product(pools, range(8)), key=lambda one: -float(worth[one[0]][one[1]]))
    for kind, number in everything:
        if len(expected[kind]) < limits[kind] and costs[kind] <= left:
            expected[kind].append(number)
            left -= costs[kind]
    assert spend(pools, limits, 9.0, 0, worth) == expected
