"""A study as it is at one moment, in memory, for whoever draws it with Optuna's functions."""

from collections.abc import Collection
from typing import Any

import optuna
from optuna import Study
from optuna.distributions import BaseDistribution, IntDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial

from mavrl.search.record import StudyRecord, TrialRecord

optuna.logging.set_verbosity(optuna.logging.WARNING)


def snapshot(record: StudyRecord, study: Study, shown: Collection[int]) -> Study:
    """A copy of a study that no search goes on with, with the counts of feedback in place of the shares they come from.

    Args:
        record: the study as it was read.
        study: the study itself, for its distributions; it may have got further.
        shown: numbers of the completed trials that are wanted; all others are in the copy as failed ones, so that those
            that are wanted keep their numbers.
    """
    copy = optuna.create_study(study_name=record.name, direction=study.direction)
    trials = study.get_trials(deepcopy=False)[: len(record.trials)]
    for known, trial in zip(record.trials, trials, strict=True):
        if known.number in shown:
            copy.add_trial(_counted(known, trial))
        else:
            copy.add_trial(create_trial(state=TrialState.FAIL))
    return copy


def drawn_name(parameter: str) -> str:
    """The name of a parameter in a snapshot, such as ratings for share.rating."""
    return f"{parameter.removeprefix('share.')}s" if parameter.startswith("share.") else parameter


def _counted(known: TrialRecord, trial: FrozenTrial) -> FrozenTrial:
    params: dict[str, Any] = {}
    distributions: dict[str, BaseDistribution] = {}
    total = sum(known.n_samples.values())
    for name, value in known.params.items():
        drawn = drawn_name(name)
        counted = drawn != name
        params[drawn] = known.n_samples.get(name.removeprefix("share."), 0) if counted else value
        distributions[drawn] = IntDistribution(0, total) if counted else trial.distributions[name]
    return create_trial(params=params, distributions=distributions, value=known.value)
