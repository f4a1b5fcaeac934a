"""Rounds of questions: candidates of the present policies are drawn, a query chooses, the teacher answers."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor

from mavrl.feedback.base import FeedbackBatch
from mavrl.feedback.datamodule import FeedbackDataModule
from mavrl.feedback.queries import Candidates
from mavrl.simulation.base import Simulated, Simulator
from mavrl.streams import torch_stream
from mavrl.types import Transitions


def share_of_round(total: int, number: int, count: int) -> int:
    """Samples of round `number` of `count`, as equal as whole numbers can be; those of all rounds are the total."""
    return total * (number + 1) // count - total * number // count


def ask_round(
    modules: Mapping[str, FeedbackDataModule],
    simulator: Simulator,
    number: int,
    limits: Mapping[str, int],
    budget: float,
    n_episodes: int,
    outcomes: Callable[[str, Transitions], Tensor | None],
) -> dict[str, int]:
    """Ask the questions of one round, and add the answers to what is learned from.

    Args:
        modules: of each kind of feedback.
        simulator: of those who act in this round.
        number: of the round, from 0.
        limits: most questions of each kind, for each replicate.
        budget: that the questions of a replicate may cost together; infinite where only the limits count.
        n_episodes: of each who acts, that segments are drawn from.
        outcomes: log-probability of each answer about candidates of a kind under reward functions drawn from what is
            believed, as `Candidates.outcomes`; None before anything has been learned.

    Returns:
        Questions asked of each kind, of the replicate that asked most.
    """
    first = next(iter(modules.values()))
    query, seeds, split = first.asking.query, first.asking.seeds, f"round {number}"
    drawn: dict[str, Simulated] = {}
    pools: dict[str, Candidates] = {}
    for kind, module in modules.items():
        if not limits[kind]:
            continue
        streams = [(seed, kind, split) for seed in seeds]
        drawn[kind] = module.pool(simulator, streams, query.candidates * limits[kind], n_episodes)
        steps = drawn[kind].transitions
        pools[kind] = Candidates(kind, steps, outcomes(kind, steps), module.cost)
    together = [tuple(pools)] if math.isfinite(budget) else [(kind,) for kind in pools]
    asked = {}
    for kinds in together:
        generators = [torch_stream(seed, *kinds, split, "query") for seed in seeds]
        chosen = query.choose({k: pools[k] for k in kinds}, {k: limits[k] for k in kinds}, budget, generators)
        for kind, numbers in chosen.items():
            if numbers.shape[1] == 0:
                continue
            shown = drawn[kind].take(numbers.clamp(min=0))
            shown = replace(shown, transitions=shown.transitions.without(numbers < 0))
            module = modules[kind]
            answered, known_to_model = _answered(module, shown, split)
            module.skipped += ((numbers >= 0) & ~answered.valid_samples).sum(-1)
            module.extend(answered, known_to_model)
            asked[kind] = int((numbers >= 0).sum(-1).max())
    return asked


def held_out(modules: Mapping[str, FeedbackDataModule], count: int) -> dict[str, FeedbackBatch]:
    """Answers that nothing is learned from, about the configured behaviour: the same in all rounds and for all queries.

    Args:
        count: of each kind; fewer where a kind has a smaller budget.
    """
    found = {}
    for kind, module in modules.items():
        n = min(count, max(1, module.n_samples))
        batch = answered_anew(module, n, n, "held out").batch
        found[kind] = batch.repeat_replicates(module.serving.members)
    return found


@dataclass(frozen=True)
class AnsweredAnew:
    """Answers that nothing is learned from.

    Args:
        shown: what was asked about, with its true rewards.
        batch: as it would be learned from.
        known_to_model: what models are told of the teacher.
    """

    shown: Simulated
    batch: FeedbackBatch
    known_to_model: dict[str, Tensor]


def answered_anew(module: FeedbackDataModule, count: int, n_episodes: int, split: str) -> AnsweredAnew:
    """Answers about the configured behaviour, from streams that `split` sets apart.

    Args:
        count: of questions.
        n_episodes: that segments are drawn from.
    """
    streams = [(seed, module.kind, split) for seed in module.asking.seeds]
    shown = module.pool(module.asking.simulator, streams, count, n_episodes)
    batch, known_to_model = _answered(module, shown, split)
    return AnsweredAnew(shown, module.batch_of(batch), known_to_model)


def _answered(module: FeedbackDataModule, shown: Simulated, split: str) -> tuple[Any, dict[str, Tensor]]:
    known = module.known() if module.labelled else shown
    return module.answer(shown, known, [(seed, module.kind, split) for seed in module.asking.seeds])
