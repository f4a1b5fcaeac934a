"""Predictions of labels under a belief, against sums over its reward functions."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from mavrl.evaluation.predictions import constants, predictions
from mavrl.feedback.base import FeedbackBatch, FeedbackLikelihood
from mavrl.feedback.demonstration import DemonstrationBatch, DemonstrationLikelihood
from mavrl.feedback.preference import PreferenceBatch, PreferenceLikelihood
from mavrl.feedback.rating import RatingBatch, RatingLikelihood
from mavrl.feedback.stop import StopBatch, StopLikelihood
from mavrl.types import Transitions

R, B, T, S, A, M = 2, 5, 4, 6, 3, 3
SEEDS = [4, 5]


class Rewards:
    """A belief of some reward functions, or Q, as tables: function k is number k, of member k modulo M."""

    n_members = M

    def __init__(self) -> None:
        self.table = torch.randn(R, 100, S, A, generator=torch.Generator().manual_seed(1))

    def values(
        self, likelihood: FeedbackLikelihood, transitions: Transitions, count: int, seeds: Sequence[int]
    ) -> Tensor:
        assert (count, list(seeds)) == (100, SEEDS)
        rows = []
        for r in range(R):
            table = likelihood.of_actions(self.table[r])[:, transitions.state[r]]  # (K, B, *steps, A)
            taken = transitions.action[r][None, ..., None].expand(*table.shape[:-1], 1)
            rows.append(table if likelihood.answers_are_actions else table.gather(-1, taken)[..., 0])
        return torch.stack(rows)


def steps(*shape: int) -> Transitions:
    stream = torch.Generator().manual_seed(0)
    state, action = torch.randint(S, shape, generator=stream), torch.randint(A, shape, generator=stream)
    valid = torch.ones(shape, dtype=torch.bool)
    if len(shape) > 2:
        valid[:, ::2, ..., -1] = False
    return Transitions(state, action, state, action, torch.zeros_like(valid), valid)


PAIR, SEGMENT, STEP = steps(R, B, 2, T), steps(R, B, T), steps(R, B)
FIRST = torch.tensor([[True, False, True, True, False]]).repeat(R, 1)
CASES: list[tuple[FeedbackLikelihood, FeedbackBatch]] = [
    (PreferenceLikelihood(2.0), PreferenceBatch(PAIR, FIRST)),
    (RatingLikelihood(torch.linspace(-1, 0, R * M), torch.ones(R * M, 2)), RatingBatch(SEGMENT, FIRST.long() + 1)),
    (StopLikelihood(torch.linspace(0.2, 1, R * M), 0.5, 0.01), StopBatch(SEGMENT, torch.arange(5).repeat(R, 1))),
    (DemonstrationLikelihood(1.5), DemonstrationBatch(STEP)),
]


def row_of_member(likelihood: FeedbackLikelihood, row: int) -> Any:
    """The likelihood of one of the R M models alone."""
    if isinstance(likelihood, RatingLikelihood):
        return RatingLikelihood(likelihood.first_cutpoint[row : row + 1].detach(), torch.ones(1, 2))
    if isinstance(likelihood, StopLikelihood):
        return StopLikelihood(likelihood.rate[row : row + 1], likelihood.discount, likelihood.lapse)
    return likelihood


def by_hand(belief: Rewards, likelihood: FeedbackLikelihood, batch: FeedbackBatch, r: int) -> Tensor:
    """Probability of each label of a replicate, as a mean over functions that are asked one by one."""
    alone = batch.map(lambda t: t[r : r + 1])
    total = torch.zeros(B, dtype=torch.float64)
    for k in range(100):
        table = belief.table[r, k][alone.transitions.state]
        values = likelihood.of_actions(table).gather(-1, alone.transitions.action[..., None])[..., 0]
        total += row_of_member(likelihood, r * M + k % M).log_prob(values, alone)[0].double().exp()
    return total / 100


@pytest.mark.parametrize(("likelihood", "batch"), CASES, ids=[batch.kind for _, batch in CASES])
def test_labels_are_as_probable_as_their_mean_over_functions(
    likelihood: FeedbackLikelihood, batch: FeedbackBatch
) -> None:
    belief = Rewards()
    found = predictions(belief, likelihood, batch, SEEDS)["log_likelihood"].exp()
    for r in range(R):
        assert torch.allclose(found[r], by_hand(belief, likelihood, batch, r), rtol=1e-4)


@pytest.mark.parametrize(("likelihood", "batch"), CASES, ids=[batch.kind for _, batch in CASES])
def test_many_labels_are_asked_about_in_parts(
    likelihood: FeedbackLikelihood, batch: FeedbackBatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = predictions(Rewards(), likelihood, batch, SEEDS)
    monkeypatch.setattr("mavrl.evaluation.predictions._POINTS", 1)
    parts = predictions(Rewards(), likelihood, batch, SEEDS)
    assert whole.keys() == parts.keys()
    for name, values in whole.items():
        assert torch.allclose(values, parts[name], atol=1e-6), name


def test_expected_stops_are_sums_over_all_stops() -> None:
    likelihood, batch = CASES[2]
    found, length = predictions(Rewards(), likelihood, batch, SEEDS), batch.transitions.valid.sum(-1)
    expected = torch.zeros(R, B, dtype=torch.float64)
    never = torch.zeros(R, B, dtype=torch.float64)
    for step in range(T + 1):
        asked = replace(batch, stop_step=torch.full((R, B), step))  # type: ignore[call-arg]
        p = predictions(Rewards(), likelihood, asked, SEEDS)["log_likelihood"].exp()
        stops_here = (step < length) | torch.tensor(step == T)
        expected += torch.where(stops_here, p * torch.minimum(torch.tensor(step), length), 0.0)
        never = p
    assert torch.allclose(found["stop_probability"], 1 - never, atol=1e-6)
    assert torch.allclose(found["expected_stop_step"], expected, atol=1e-5)
    assert found["stop_step"][0].tolist() == [0, 1, 2, 3, 3]
    assert found["stop_frequency"][0].tolist() == [1, 1, 1, 1, 0]


def test_a_constant_knows_the_answers_that_occur() -> None:
    train = RatingBatch(SEGMENT, torch.tensor([[4, 4, 4, 1, 1]]).repeat(R, 1))
    test = RatingBatch(SEGMENT, torch.tensor([[1, 4, 7, 4, 4]]).repeat(R, 1))
    shares = {1: 2.5 / 6.5, 4: 3.5 / 6.5, 7: 0.5 / 6.5}
    found = constants(train, test)
    assert found["frequency"][0].exp().tolist() == pytest.approx([shares[int(x)] for x in test.rating[0]])
    assert found["uniform"][0].exp().tolist() == pytest.approx([1 / 3] * B)
    same = RatingBatch(SEGMENT, torch.full((R, B), 3))
    assert all(
        each.eq(0).all() for each in constants(same, same).values()
    )  # nothing can be better than who always says the same


def test_a_constant_knows_of_each_scale_by_itself() -> None:
    """Categories 0 and 1 of a scale of two, and 0 of another one: shares of one scale sum to one."""
    scale = torch.tensor([[0, 0, 0, 1, 1]]).repeat(R, 1)
    train = RatingBatch(SEGMENT, torch.tensor([[0, 1, 1, 0, 2]]).repeat(R, 1), scale)
    every = [(0, 0), (1, 0), (0, 1), (2, 1)]
    found = {}
    for category, number in every:
        asked = RatingBatch(SEGMENT, torch.full((R, B), category), torch.full((R, B), number))
        found[category, number] = float(constants(train, asked)["frequency"][0, 0].exp())
        assert constants(train, asked)["uniform"][0, 0].exp() == pytest.approx(0.5)
    assert found == pytest.approx({(0, 0): 1.5 / 4, (1, 0): 2.5 / 4, (0, 1): 0.5, (2, 1): 0.5})


@pytest.mark.parametrize("step", [0, T])
def test_a_constant_is_sure_of_stops_that_are_always_or_never_there(step: int) -> None:
    batch = StopBatch(SEGMENT, torch.full((R, B), step))
    assert all(each.eq(0).all() for each in constants(batch, batch).values())
    several = StopBatch(SEGMENT, torch.tensor([[0, 1, T, T, T]]).repeat(R, 1))
    found, length = constants(several, batch), batch.transitions.valid.sum(-1)
    assert found["frequency"].lt(0).all()
    assert torch.allclose(found["uniform"].exp(), 1 / (length + 1.0).double())
