"""A study as plain data, for whoever reads it: tables, figures, summaries, confirmation."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from optuna import Study, load_study
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, TrialState

from mavrl.metrics import DIGITS

IDENTITY = "mavrl"  # the study's attribute that says what is searched
ASKED = "n_trials"  # the one that says how many trials there are to be


@dataclass(frozen=True)
class TrialRecord:
    """One trial.

    Args:
        number: from 0.
        state: running, completed or failed.
        value: mean of the metric over the replicates; None unless completed.
        params: what was drawn, by parameter.
        n_samples: of each kind of feedback.
        overrides: of the trial, beside those that all trials of the study have in common.
        final: numbers per replicate, by metric.
        run_directory: where it ran.
        seconds: wall time of the run.
        error: why it failed.
        started, ended: when.
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


@dataclass(frozen=True)
class StudyRecord:
    """One study: a search in one environment with one subset of feedback.

    Args:
        name: study/env/modality.
        env, modality: the cell.
        metric, direction: what is searched for.
        space: what is varied, as `SearchSpace.description` says it.
        fixed: the settings that are not varied.
        command: overrides that all trials have in common.
        trials: in their order.
        asked: how many there are to be; None when the study does not say.
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
        """Samples that are divided; None where counts are given."""
        return self.space.get("budget")

    def ranked(self) -> list[TrialRecord]:
        """Completed trials, the best first; of those that are equal but for rounding errors the earliest."""
        completed = [trial for trial in self.trials if trial.value is not None and trial.state == "completed"]
        sign = 1.0 if self.direction == "minimize" else -1.0
        return sorted(completed, key=lambda trial: (round(sign * float(trial.value or 0.0), DIGITS), trial.number))

    @property
    def best(self) -> TrialRecord | None:
        return next(iter(self.ranked()), None)

    def count(self, state: str) -> int:
        return sum(trial.state == state for trial in self.trials)


def read_studies(storage: BaseStorage, prefix: str = "") -> list[StudyRecord]:
    """All studies of a storage that this package made, whose name begins with a prefix."""
    names = [study.study_name for study in storage.get_all_studies() if study.study_name.startswith(prefix)]
    studies = [load_study(study_name=name, storage=storage) for name in sorted(names)]
    return [study_record(study) for study in studies if IDENTITY in study.user_attrs]


def study_record(study: Study) -> StudyRecord:
    """One study as plain data."""
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
    )
