"""A study as plain data, for whoever reads it: tables, figures, summaries, confirmation."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from optuna import Study, load_study
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, TrialState

from mavrl.configuration.identity import is_execution
from mavrl.metrics import DIGITS, Direction
from mavrl.search.allocation import spendable

IDENTITY = "mavrl"  # the attribute of a study that says what is searched
ASKED = "n_trials"  # the attribute of a study that says how many trials there are to be


@dataclass(frozen=True)
class TrialRecord:
    """One trial of a study.

    Args:
        number: position in the study, from 0.
        state: running, completed or failed.
        value: mean of the metric over the replicates, without digits that are rounding errors; None unless completed.
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
    direction: Direction
    space: dict[str, Any]
    fixed: dict[str, Any]
    command: list[str]
    trials: tuple[TrialRecord, ...]
    asked: int | None = None

    @property
    def study(self) -> str:
        """The name of the study that this is a cell of."""
        return self.name.rsplit("/", 2)[0]

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
        """Completed trials, the best first; of equal ones the earliest."""
        sign = 1.0 if self.direction == "minimize" else -1.0
        completed = [(sign * trial.value, trial) for trial in self.trials if trial.value is not None]
        return [trial for _, trial in sorted(completed, key=lambda pair: (pair[0], pair[1].number))]

    @property
    def tied(self) -> int:
        """How many completed trials have the best value; 0 while there is none."""
        best = self.best
        return 0 if best is None else sum(trial.value == best.value for trial in self.trials)

    def overrides(self, trial: TrialRecord) -> list[str]:
        """The words of a command line that make a single run of a trial."""
        common = [word for word in self.command if not is_execution(word)]
        alone = ["hydra/sweeper=basic"] if any(word.startswith("experiment=") for word in common) else []
        return [f"env={self.env}", f"modality={self.modality}", *common, *trial.overrides, *alone]

    @property
    def best(self) -> TrialRecord | None:
        """The best completed trial, of equal ones the earliest; None while there is none."""
        sign = 1.0 if self.direction == "minimize" else -1.0
        completed = [trial for trial in self.trials if trial.value is not None]
        return min(completed, key=lambda trial: (sign * (trial.value or 0.0), trial.number), default=None)

    def count(self, state: str) -> int:
        """How many trials are in a state."""
        return sum(trial.state == state for trial in self.trials)


def read_studies(storage: BaseStorage, prefix: str = "") -> list[StudyRecord]:
    """The studies in a storage that this package made and whose names begin with a prefix."""
    names = [study.study_name for study in storage.get_all_studies() if study.study_name.startswith(prefix)]
    studies = [load_study(study_name=name, storage=storage) for name in sorted(names)]
    return [study_record(study) for study in studies if IDENTITY in study.user_attrs]


def study_record(study: Study, known: dict[int, TrialRecord] | None = None) -> StudyRecord:
    """Read a study of Optuna as plain data.

    Args:
        study: the study.
        known: trials that had ended when it was read before, by their numbers; those that have since are added.
    """
    known = {} if known is None else known
    trials = study.get_trials(deepcopy=False)
    for trial in trials:
        if trial.number not in known and trial.state.is_finished():
            known[trial.number] = _trial_record(trial)
    about = study.user_attrs[IDENTITY]
    return StudyRecord(
        study.study_name,
        *(about[key] for key in ("env", "modality", "metric", "direction", "space", "fixed", "command")),
        trials=tuple(known.get(trial.number) or _trial_record(trial) for trial in trials),
        asked=study.user_attrs.get(ASKED),
    )


def comparable_value(trial: FrozenTrial) -> float:
    """The value of a completed trial of Optuna: values that differ by rounding errors are equal."""
    assert trial.value is not None
    return round(trial.value, DIGITS) + 0.0


def _trial_record(trial: FrozenTrial) -> TrialRecord:
    attributes = trial.user_attrs
    states = {TrialState.COMPLETE: "completed", TrialState.FAIL: "failed"}
    state = states.get(trial.state, "running")
    return TrialRecord(
        trial.number,
        state,
        comparable_value(trial) if state == "completed" else None,
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
