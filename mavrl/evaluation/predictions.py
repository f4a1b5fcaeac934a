"""What is predicted of labels under a belief about the reward, and by a constant, for every kind of feedback.

Every label is scored through the likelihood's own `log_prob`, also those that might have been given instead: so
whatever a label says besides its answer is read as in training.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mavrl.errors import MavrlError
from mavrl.evaluation.held_out import constant_hazard_by, log_frequencies_by, log_mean_exp, log_prob_of_stop
from mavrl.feedback.base import FeedbackBatch, FeedbackLikelihood
from mavrl.model.beliefs import Belief, log_prob_under
from mavrl.quadratic import QuadraticValues
from mavrl.types import segment_mean

FUNCTIONS = 100  # reward functions that a prediction is the mean of, at least
_POINTS = 4_000_000  # numbers that likelihoods read at once
_LEAST_VARIANCE = 1e-6  # of an action that never changes
_SURVIVED = 32  # steps until which the probability of no stop is computed; between them it is interpolated

LogProb = Callable[[Any], Float[Tensor, "R B"]]  # predictive, of a batch with the same steps
Predicted = dict[str, Float[Tensor, "R B"]]


@torch.no_grad()
def predictions(
    belief: Belief, likelihood: FeedbackLikelihood, batch: FeedbackBatch, seeds: Sequence[int]
) -> Predicted:
    """What a belief predicts of labels: `log_likelihood`, in nats, and what the kind has besides.

    Args:
        likelihood: of the models, trained.
        batch: labelled samples, shape (R, B, ...).
        seeds: one for each replicate; a seed is a set of reward functions.

    Raises:
        MavrlError: nobody knows how labels of this kind are judged.
    """
    kind = _of(batch)
    count, found = max(FUNCTIONS, belief.n_members), []
    for part in _parts(batch, count):
        values = belief.values(likelihood, part.transitions, count, seeds)
        if likelihood.answers_are_actions and not part.transitions.action.is_floating_point():
            taken = part.transitions.action[:, None, ..., None].expand(*values.shape[:-1], 1)
            values = values.gather(-1, taken).squeeze(-1)

        def log_prob(variation: FeedbackBatch, values: Tensor = values) -> Tensor:
            return log_mean_exp(log_prob_under(values, belief.n_members, likelihood, variation))

        found.append({"log_likelihood": log_prob(part), **kind.more(part, log_prob, values)})
    return {name: torch.cat([each[name].double() for each in found], dim=1) for name in found[0]}


def constants(train: FeedbackBatch, test: FeedbackBatch) -> Predicted:
    """Log-probability of labels for who never looks at what was shown, in nats.

    `frequency` only knows the answers in training, `uniform` only which answers there are.

    Args:
        train: what models of the same folds were trained on, shape (R, N, ...).
        test: labelled samples, shape (R, B, ...).
    """
    return _of(test).constants(train, test)


def _parts(batch: FeedbackBatch, count: int) -> Iterator[FeedbackBatch]:
    steps = batch.transitions.valid
    size = max(1, _POINTS // max(1, count * steps[:, :1].numel()))
    for first in range(0, steps.shape[1], size):
        yield batch.map(lambda tensor, first=first: tensor[:, first : first + size])


# Kinds ---------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Kind:
    """What is predicted of a kind of feedback besides the probability of its labels, and what constants predict."""

    more: Callable[[Any, LogProb, Tensor], Predicted]
    constants: Callable[[Any, Any], Predicted]


def _of(batch: FeedbackBatch) -> _Kind:
    if batch.kind not in _KINDS:
        raise MavrlError(f"{batch.kind}: held-out labels are of {', '.join(_KINDS)}; data.folds=0 leaves them out")
    return _KINDS[batch.kind]


def _preference(batch: Any, log_prob: LogProb, values: Tensor) -> Predicted:
    yes, no = torch.ones_like(batch.first_preferred), torch.zeros_like(batch.first_preferred)
    first, second = (log_prob(replace(batch, first_preferred=x, equal=no)) for x in (yes, no))
    chosen, decided = batch.first_preferred.double(), (~batch.equal).double()
    return {"first": (first - second).sigmoid(), "chosen": chosen, "decided": decided}


def _rating(batch: Any, log_prob: LogProb, values: Tensor) -> Predicted:
    mean_reward = segment_mean(values.mean(1), batch.transitions.valid)
    return {"mean_reward": mean_reward, "rating": batch.rating.double(), "scale": batch.scale.double()}


def _stop(batch: Any, log_prob: LogProb, values: Tensor) -> Predicted:
    valid, length = batch.transitions.valid, _length(batch)
    n_steps = valid.shape[-1]
    never = torch.full_like(batch.stop_step, n_steps)
    step, found = torch.arange(n_steps, device=valid.device), []
    until = sorted({round(k * n_steps / _SURVIVED) for k in range(1, _SURVIVED + 1)} - {0})
    for last in until:  # that a stop comes later is that there is none in a segment which ends here
        shorter = replace(batch.transitions, valid=valid & (step < last))
        found.append(log_prob(replace(batch, transitions=shorter, stop_step=never)).exp())
    survived = torch.stack(found, dim=-1)
    return {
        "stop_probability": 1 - survived[..., -1],
        "stop_frequency": (batch.stop_step < length).double(),
        "expected_stop_step": _expected(survived, until, length),
        "stop_step": torch.minimum(batch.stop_step, length).double(),
    }


def _expected(survived: Float[Tensor, "R B n"], until: list[int], length: Int[Tensor, "R B"]) -> Float[Tensor, "R B"]:
    """Expected step of a stop, or the length where there is none: the sum of p(no stop before t) for t = 1 to length.

    Args:
        survived: probability of no stop in the first `until` steps.
    """
    total, before, at = torch.zeros_like(survived[..., 0]), torch.ones_like(survived[..., 0]), 0
    for k, last in enumerate(until):
        for step in range(at + 1, last + 1):
            share = (step - at) / (last - at)
            total = total + torch.where(step <= length, (1 - share) * before + share * survived[..., k], 0.0)
        before, at = survived[..., k], last
    return total


def _demonstration(batch: Any, log_prob: LogProb, values: Tensor) -> Predicted:
    return {}


def _length(batch: Any) -> Int[Tensor, "R B"]:
    return batch.transitions.valid.sum(-1)


def _frequencies(
    answers: Callable[[Any], Tensor], scales: Callable[[Any], Tensor] | None = None
) -> Callable[[Any, Any], Predicted]:
    """Every answer of an annotator as often as it was given in training; all equally often.

    Answers that never occur have no share. Where answers are on several scales, they are shares of one.
    """

    def log_probs(train: Any, test: Any) -> Predicted:
        scale = (lambda batch: torch.zeros_like(answers(batch))) if scales is None else scales
        given, asked = (torch.stack([scale(batch), answers(batch)], dim=-1) for batch in (train, test))
        real = torch.cat([given[train.valid_samples], asked[test.valid_samples]])
        occur, most = real.unique(dim=0), int(real[:, 1].max()) + 1
        code = occur[:, 0] * most + occur[:, 1]
        number = [
            torch.searchsorted(code, (x[..., 0] * most + x[..., 1]).contiguous()).clamp(max=len(code) - 1)
            for x in (given, asked)
        ]
        who, count = _annotators(train, test)
        table = log_frequencies_by(number[0], train.valid_samples, len(code), who[0], count)
        same = occur[:, 0, None] == occur[None, :, 0]
        table = table - table[..., None, :].masked_fill(~same, -torch.inf).logsumexp(-1)
        row = torch.arange(len(table))[:, None]
        return {"frequency": table[row, who[1], number[1]], "uniform": -same.sum(1).double().log()[number[1]]}

    return log_probs


def _annotators(*batches: Any) -> tuple[list[Tensor], int]:
    """Numbers of those who gave the labels of each batch, and how many there are."""
    nobody = [torch.zeros(batch.valid_samples.shape, dtype=torch.int64) for batch in batches]
    who = [batch.labels.get("annotator", none) for batch, none in zip(batches, nobody, strict=True)]
    return who, 1 + max(int(each.max()) for each in who)


def _choice(batch: Any) -> Int[Tensor, "R N"]:
    """0 for the second segment, 1 for the first, 2 for a tie."""
    chosen = batch.first_preferred.long()
    return torch.where(batch.equal, 2, chosen)


def _constant_stops(train: Any, test: Any) -> Predicted:
    """A constant hazard; each step, or none, equally often. Where nobody ever stopped, or all at once, it is sure."""
    steps = torch.cat([batch.stop_step[batch.valid_samples] for batch in (train, test)])
    lengths = torch.cat([_length(batch)[batch.valid_samples] for batch in (train, test)])
    if bool((steps >= lengths).all()) or bool((steps == 0).all()):
        certain = torch.zeros(test.stop_step.shape, dtype=torch.float64)
        return {"frequency": certain, "uniform": certain}
    who, count = _annotators(train, test)
    hazard = constant_hazard_by(train.stop_step, _length(train), train.valid_samples, who[0], count)
    at_rate = log_prob_of_stop(hazard.gather(1, who[1]), test.stop_step, _length(test))
    return {"frequency": at_rate, "uniform": -(_length(test) + 1.0).double().log()}


def _constant_actions(train: Any, test: Any) -> Predicted:
    """Numbered actions as often as in training, and all equally often.

    Of vectors the densities in the unit box: a normal distribution of each number, with the moments that it has in
    training and truncated to the box, and a uniform one.
    """
    taken = test.transitions.action
    if not taken.is_floating_point():
        return _frequencies(lambda batch: batch.transitions.action)(train, test)
    found = []
    for row, action in enumerate(taken.double()):
        seen = train.transitions.action[row][train.valid_samples[row]].double()
        mean, variance = seen.mean(0), seen.var(0, correction=0).clamp(min=_LEAST_VARIANCE)
        found.append(QuadraticValues(mean.new_zeros(()), mean, 1 / variance).log_policy(action, 1.0))
    uniform = torch.full(taken.shape[:-1], -taken.shape[-1] * math.log(2), dtype=torch.float64)
    return {"frequency": torch.stack(found), "uniform": uniform}


_KINDS = {
    "preference": _Kind(_preference, _frequencies(_choice)),
    "rating": _Kind(_rating, _frequencies(lambda batch: batch.rating, lambda batch: batch.scale)),
    "stop": _Kind(_stop, _constant_stops),
    "demonstration": _Kind(_demonstration, _constant_actions),
}
