"""A study as plain data, for whoever reads it: tables, figures, summaries, confirmation."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from optuna import Study, load_study
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, TrialState

from mavrl.metrics import DIGITS
from mavrl.search.allocation import spendable

IDENTITY = "mavrl"  # the attribute of a study that says what is searched
ASKED = "n_trials"  # the attribute of a study that says how many trials there are to be


@dataclass(frozen=True)
class TrialRecord:
    """One trial of a study.

    Args:
        number: position in the study, from 0.
        state: running, completed or failed.
        value: mean of the metric over the replicates; None unless completed.
        params: values drawn, by parameter.
        n_samples: counts by kind of feedback; empty unless completed.
        overrides: the trial's part of the command line, beside what all trials of the study have in common.
        final: numbers per replicate, by metric; empty unless completed.
        run_directory: where the trial ran; None unless it has ended.
        seconds: wall time of the run; None unless completed.
        error: why the trial failed; None unless it did.
        started, ended: times.
        failed_replicates: which numbers of `final` are left out of means; None where an earlier version noted none.
    """

    number: int
    state: str
    value: float | None
    params: dict[str, Any]
    n_samples: dict[str, int]
    overrides: list[str]
    final: dict[str, list[float]]
    run_directory: str | None
    seconds: float | None
    error: str | None
    started: datetime | None
    ended: datetime | None
    failed_replicates: list[int] | None = None


@dataclass(frozen=True)
class StudyRecord:
    """One study: a search in one environment with one subset of feedback.

    Args:
        name: study/env/modality.
        env, modality: the cell.
        metric, direction: what is searched for, and which way it is better.
        space: what is varied, as `SearchSpace.description` says it.
        fixed: the settings that are not varied, by configuration key.
        command: overrides that all trials have in common.
        trials: all trials, in the order of their numbers.
        asked: number of trials that there are to be; None when the study does not say.
    """

    name: str
    env: str
    modality: str
    metric: str
    direction: str
    space: dict[str, Any]
    fixed: dict[str, Any]
    command: list[str]
    trials: tuple[TrialRecord, ...]
    asked: int | None = None

    @property
    def budget(self) -> int | None:
        """The number of samples that are divided; None where counts are given."""
        return self.space.get("budget")

    @property
    def spent(self) -> int | None:
        """The number of samples of each trial: the budget, or what the caps allow where that is less."""
        return None if self.budget is None else spendable(self.budget, self.space["kinds"], self.caps)

    @property
    def caps(self) -> dict[str, int]:
        """Most samples of the kinds that are limited."""
        return self.space.get("caps", {})

    def ranked(self) -> list[TrialRecord]:
        """Completed trials, the best first; of those that are equal but for rounding errors the earliest."""
        completed = [trial for trial in self.trials if trial.value is not None and trial.state == "completed"]
        sign = 1.0 if self.direction == "minimize" else -1.0
        return sorted(completed, key=lambda trial: (round(sign * float(trial.value or 0.0), DIGITS), trial.number))

    @property
    def best(self) -> TrialRecord | None:
        """The best completed trial; None while there is none."""
        return next(iter(self.ranked()), None)

    def count(self, state: str) -> int:
        """How many trials are in a state."""
        return sum(trial.state == state for trial in self.trials)


def read_studies(storage: BaseStorage, prefix: str = "") -> list[StudyRecord]:
    """The studies in a storage that this package made and whose names begin with a prefix."""
    names = [study.study_name for study in storage.get_all_studies() if study.study_name.startswith(prefix)]
    studies = [load_study(study_name=name, storage=storage) for name in sorted(names)]
    return [study_record(study) for study in studies if IDENTITY in study.user_attrs]


def study_record(study: Study) -> StudyRecord:
    """Read a study of Optuna as plain data."""
    about = study.user_attrs[IDENTITY]
    return StudyRecord(
        study.study_name,
        *(about[key] for key in ("env", "modality", "metric", "direction", "space", "fixed", "command")),
        trials=tuple(_trial_record(trial) for trial in study.get_trials(deepcopy=False)),
        asked=study.user_attrs.get(ASKED),
    )


def _trial_record(trial: FrozenTrial) -> TrialRecord:
    attributes = trial.user_attrs
    states = {TrialState.COMPLETE: "completed", TrialState.FAIL: "failed"}
    state = states.get(trial.state, "running")
    return TrialRecord(
        trial.number,
        state,
        trial.value if state == "completed" else None,
        dict(trial.params),
        attributes.get("n_samples", {}),
        attributes.get("overrides", []),
        attributes.get("final", {}),
        attributes.get("run_directory"),
        attributes.get("seconds"),
        attributes.get("error"),
        trial.datetime_start,
        trial.datetime_complete,
        attributes.get("failed_replicates"),
    )
