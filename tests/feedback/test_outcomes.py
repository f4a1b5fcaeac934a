"""The probabilities of all possible answers, for every kind of feedback: one test for the four."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor

from mavrl.feedback.base import FeedbackBatch, FeedbackLikelihood
from mavrl.feedback.demonstration import DemonstrationBatch, DemonstrationLikelihood
from mavrl.feedback.preference import PreferenceBatch, PreferenceLikelihood
from mavrl.feedback.rating import RatingBatch, RatingLikelihood
from mavrl.feedback.stop import StopBatch, StopLikelihood
from mavrl.types import Transitions

R, B, T, A = 2, 7, 4, 3


@dataclass(frozen=True)
class Case:
    """A likelihood, what its `outcomes` reads, and its batches with one answer for all samples."""

    likelihood: FeedbackLikelihood
    values: Tensor
    transitions: Transitions
    n_answers: int
    batch: Callable[[int], FeedbackBatch]
    of_taken: Callable[[int], Tensor]  # what `log_prob` reads, for one answer


def steps(valid: Tensor, action: Tensor | None = None) -> Transitions:
    zeros = torch.zeros(valid.shape, dtype=torch.int64)
    return Transitions(zeros, zeros if action is None else action, zeros, zeros, torch.zeros_like(valid), valid)


def ragged(*shape: int) -> Tensor:
    """Validity of a first part of each segment: 1 to T steps, and none in one sample."""
    ends = torch.randint(1, T + 1, (*shape, 1))
    ends[0, -1] = 0
    return torch.arange(T) < ends


def answered(*shape: int) -> Callable[[int], Tensor]:
    return lambda answer: torch.full(shape, answer)


def preference() -> Case:
    transitions, values = steps(ragged(R, B, 2)), torch.randn(R, B, 2, T, dtype=torch.float64)
    likelihood = PreferenceLikelihood(3.0)
    return Case(
        likelihood,
        values,
        transitions,
        2,
        lambda y: PreferenceBatch(transitions, answered(R, B)(y).bool()),
        lambda y: values,
    )


def rating() -> Case:
    transitions, values = steps(ragged(R, B)), torch.randn(R, B, T, dtype=torch.float64)
    likelihood = RatingLikelihood(torch.tensor([-1.0, 0.3]), torch.tensor([[0.5, 1.0], [0.2, 0.7]])).double()
    return Case(
        likelihood, values, transitions, 4, lambda y: RatingBatch(transitions, answered(R, B)(y)), lambda y: values
    )


def stop() -> Case:
    transitions, values = steps(ragged(R, B)), torch.rand(R, B, T, dtype=torch.float64)
    likelihood = StopLikelihood(torch.tensor([0.5, 2.0], dtype=torch.float64), 0.5, 0.01)
    return Case(
        likelihood, values, transitions, T + 1, lambda y: StopBatch(transitions, answered(R, B)(y)), lambda y: values
    )


def demonstration() -> Case:
    valid = ragged(R, B)[..., 0]
    likelihood = DemonstrationLikelihood(1.5)
    values = likelihood.of_actions(torch.randn(R, B, A, dtype=torch.float64))

    def batch(answer: int) -> DemonstrationBatch:
        return DemonstrationBatch(steps(valid, answered(R, B)(answer) * valid))

    return Case(likelihood, values, steps(valid), A, batch, lambda y: values[..., y])


@pytest.fixture(params=[preference, rating, stop, demonstration], ids=lambda make: make.__name__)
def case(request: Any) -> Case:
    return request.param()


def test_the_probability_of_a_label_is_that_of_its_answer(case: Case) -> None:
    outcomes = case.likelihood.outcomes(case.values, case.transitions)
    assert outcomes.shape == (R, B, case.n_answers)
    for answer in range(case.n_answers):
        batch = case.batch(answer)
        one = case.likelihood.log_prob(case.of_taken(answer), batch)
        possible = batch.valid_samples if isinstance(batch, DemonstrationBatch) else torch.ones(R, B, dtype=torch.bool)
        torch.testing.assert_close(outcomes[..., answer][possible], one[possible])


def test_the_answers_are_all_that_there_are(case: Case) -> None:
    total = case.likelihood.outcomes(case.values, case.transitions).exp().sum(-1)
    torch.testing.assert_close(total, torch.ones_like(total))


def test_what_stands_in_padding_does_not_matter(case: Case) -> None:
    valid = case.transitions.valid
    valid = valid[..., None] if case.likelihood.answers_are_actions else valid
    spoilt = torch.where(valid, case.values, torch.full_like(case.values, math.nan))
    found = case.likelihood.outcomes(spoilt, case.transitions)
    assert found.equal(case.likelihood.outcomes(case.values, case.transitions))


def test_nobody_stops_on_padding() -> None:
    case = stop()
    padding = ~case.transitions.valid
    assert (case.likelihood.outcomes(case.values, case.transitions)[..., :-1][padding] == -math.inf).all()


def test_padding_of_a_demonstration_is_its_first_action_for_certain() -> None:
    case = demonstration()
    found = case.likelihood.outcomes(case.values, case.transitions)[~case.transitions.valid]
    assert (found == torch.tensor([0.0, -math.inf, -math.inf])).all()


def test_whole_episodes_are_answered_step_by_step() -> None:
    likelihood, valid = DemonstrationLikelihood(1.5), ragged(R, B)
    values = likelihood.of_actions(torch.randn(R, B, T, A))
    found = likelihood.outcomes(values, steps(valid))
    assert found.shape == (R, B, T, A)
    assert found[valid].equal(values[valid])


def test_a_kind_that_does_not_say_its_answers_is_named() -> None:
    class Silent(PreferenceLikelihood):
        outcomes = FeedbackLikelihood.outcomes  # type: ignore[assignment]

    case = preference()
    with pytest.raises(NotImplementedError, match="Silent has no `outcomes`"):
        Silent(1.0).outcomes(case.values, case.transitions)
