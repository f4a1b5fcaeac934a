"""One search: trials are asked for, run elsewhere, and told, by any number of searching processes at once.

Whoever runs a trial holds a lock for as long as it lives. A trial whose owner is gone is taken over by the next one who
asks: what it was to run is in the storage, and runs resume where they were cut off. So nothing that was finished is
lost, and a study ends with the trials that it was asked for, whatever is killed.
"""

import hashlib
import shutil
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
from filelock import FileLock
from optuna.samplers import BaseSampler
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, Trial, TrialState

from mavrl.configuration.plain import flatten
from mavrl.errors import ConfigurationError
from mavrl.metrics import DIGITS, Direction, what_it_needs
from mavrl.search.record import ASKED, IDENTITY, StudyRecord, TrialRecord, study_record
from mavrl.search.space import SearchSpace
from mavrl.secrets import masked_text
from mavrl.storage.contents import read_metrics, read_status
from mavrl.storage.run_directory import acquire

_FIXED = "fixed_params"  # attribute with which Optuna keeps the values of an enqueued trial
_MOST_ATTEMPTS = 10  # at a trial whose run ends without a result
_WEIGHTS = ("reward_model", "policies")  # what a run directory holds besides results

optuna.logging.set_verbosity(optuna.logging.WARNING)


@dataclass(frozen=True)
class SearchPlan:
    """What one search looks for, where, and in how many trials.

    Args:
        study: name of the study that the cell belongs to.
        env, modality: the cell.
        metric, direction: the metric of metrics.json that is searched for, and which way it is better.
        space: what is varied.
        fixed: settings that are not varied, by configuration key.
        command: overrides that all trials have in common.
        n_trials: number of trials, failed ones included.
        seed: seed of the sampler.
        kept: number of best trials whose weights are kept.
    """

    study: str
    env: str
    modality: str
    metric: str
    direction: Direction
    space: SearchSpace
    fixed: dict[str, Any]
    command: list[str]
    n_trials: int
    seed: int
    kept: int

    @property
    def name(self) -> str:
        """The name under which the storage has the study of the cell."""
        return f"{self.study}/{self.env}/{self.modality}"

    @property
    def total(self) -> int:
        """The number of trials that there will be: one when nothing is varied."""
        return self.n_trials if self.space.distributions else min(self.n_trials, 1)

    def identity(self) -> dict[str, Any]:
        """The part of the plan that a stored study must share to be gone on with, as plain values."""
        about = {key: getattr(self, key) for key in ("env", "modality", "metric", "direction", "fixed", "command")}
        return {**about, "space": self.space.description()}


@dataclass(frozen=True)
class Assignment:
    """A trial to run.

    Args:
        trial: its number.
        overrides: the trial's part of the command line.
        n_samples: counts that the search drew, by kind of feedback.
    """

    trial: int
    overrides: list[str]
    n_samples: dict[str, int]


class Search:
    """A process's part in the search of one plan: it takes trials to run, and tells the study how they ended.

    Args:
        plan: what is searched.
        storage: where the study is; it is made when it is not there.
        folder: where the locks are that the searching processes of a study share.
        make_sampler: makes the sampler of a seed.

    Raises:
        ConfigurationError: the study exists and searches for something else.
    """

    def __init__(
        self, plan: SearchPlan, storage: BaseStorage, folder: Path, make_sampler: Callable[[int], BaseSampler]
    ) -> None:
        self.plan = plan
        self._storage = storage
        self._make_sampler = make_sampler
        self._folder = folder
        self._id = uuid.uuid4().hex[:12]
        self._running: set[int] = set()
        self._bare: set[str] = set()
        self._known: dict[int, TrialRecord] = {}
        (folder / ".owners").mkdir(parents=True, exist_ok=True)
        self._alive = FileLock(self._owner_lock(self._id))
        self._alive.acquire()
        self._turn = FileLock(folder / ".turn")  # one searching process at a time takes trials
        with self._turn:
            self.study = _open_study(plan, storage)
            if self.study.user_attrs.get(ASKED) != plan.total:
                self.study.set_user_attr(ASKED, plan.total)

    def close(self) -> None:
        """Give up the trials that this process still owns, so that others take them over."""
        self._alive.release()
        self._owner_lock(self._id).unlink(missing_ok=True)

    @property
    def record(self) -> StudyRecord:
        """The study as it is now."""
        return study_record(self.study, self._known)

    def take(self, count: int) -> list[Assignment]:
        """Own some trials to run now: first those whose owner is gone, then new ones. Empty when all are taken.

        Args:
            count: most trials.
        """
        with self._turn:
            trials = self.study.get_trials(deepcopy=False)
            orphans = [trial for trial in trials if trial.state == TrialState.RUNNING and self._is_orphan(trial)]
            numbers = [trial.number for trial in orphans if self._claim(trial)][:count]
            for number in range(len(trials), min(self.plan.total, len(trials) + count - len(numbers))):
                self.study.sampler = self._make_sampler(_trial_seed(self.plan.seed, number))
                numbers.append(self.study.ask().number)
                self._note(numbers[-1], owner=self._id)
            self._running |= set(numbers)
            return [self._assignment(number) for number in numbers]

    def _assignment(self, number: int) -> Assignment:
        def begin(name: str) -> None:  # what is drawn must not depend on what was there before a kill
            self.study.sampler = self._make_sampler(_trial_seed(self.plan.seed, number, name))

        self.study.sampler = self._make_sampler(_trial_seed(self.plan.seed, number))
        trial = Trial(self.study, self._trial_id(number))  # one that was cut off while being drawn goes on
        if (
            _FIXED not in self._storage.get_trial(self._trial_id(number)).system_attrs
        ):  # what is drawn together; half of it there would change the rest
            self._storage.set_trial_system_attr(self._trial_id(number), _FIXED, trial.relative_params)
            trial = Trial(self.study, self._trial_id(number))
        space = self.plan.space
        params = space.suggest(trial, begin)
        counts, overrides = space.counts(params), space.overrides(params)
        self._note(number, overrides=overrides)
        return Assignment(number, overrides, counts)

    def _trial_id(self, number: int) -> int:
        study_id = self._storage.get_study_id_from_name(self.plan.name)
        return self._storage.get_trial_id_from_study_id_trial_number(study_id, number)

    def _note(self, number: int, **attributes: Any) -> None:
        trial_id = self._trial_id(number)
        for name, value in attributes.items():
            self._storage.set_trial_user_attr(trial_id, name, value)

    def _claim(self, trial: FrozenTrial) -> bool:
        """Own a trial whose owner is gone, unless it has ended without a result too often."""
        attempts = trial.user_attrs.get("attempts", 1)
        if attempts >= _MOST_ATTEMPTS:
            self._note(trial.number, error=f"its run ended without a result {attempts} times")
            self.study.tell(trial.number, state=TrialState.FAIL)
            return False
        self._note(trial.number, attempts=attempts + 1, owner=self._id)
        return True

    def _owner_lock(self, owner: str) -> Path:
        return self._folder / ".owners" / owner

    def _is_orphan(self, trial: FrozenTrial) -> bool:
        owner = trial.user_attrs.get("owner")
        if owner == self._id:
            return trial.number not in self._running
        path = self._owner_lock(owner) if owner else None
        if path is None or not path.exists():
            return True
        lock = FileLock(path)
        if not acquire(lock):
            return False
        lock.release()
        path.unlink(missing_ok=True)
        return True

    def tell(self, assignment: Assignment, directory: Path, error: BaseException | None) -> bool:
        """Tell the study what became of a trial.

        Args:
            assignment: the trial.
            directory: where it ran.
            error: what its launcher saw go wrong, if anything.

        Returns:
            Whether the trial has ended. One without a result has not, and is taken again later.
        """
        self._running.discard(assignment.trial)
        status, metrics = read_status(directory), read_metrics(directory)
        ended = status.get("state") == "completed" and bool(metrics)
        why = None
        if ended and self.plan.metric not in metrics["mean"]:
            why = f"metrics.json has no {self.plan.metric}{what_it_needs(self.plan.metric)}"
        elif not ended and (status.get("state") == "failed" or isinstance(error, ConfigurationError)):
            why = status.get("error") or masked_text(str(error))
        elif not ended:
            return False
        self._note(assignment.trial, run_directory=str(directory))
        if why is not None:
            self._note(assignment.trial, error=why)
            self.study.tell(assignment.trial, state=TrialState.FAIL)
            return True
        facts = {"final": metrics["final"], "failed_replicates": metrics.get("failed_replicates", [])}
        facts |= {"n_samples": metrics["n_samples"], "seconds": metrics["seconds"].get("total")}
        self._note(assignment.trial, **facts)
        self.study.tell(assignment.trial, round(metrics["mean"][self.plan.metric], DIGITS))  # no noise to model
        self._delete_weights()
        return True

    def _delete_weights(self) -> None:
        """Delete the weights of all completed trials but the best ones."""
        with self._turn:
            record = self.record
            ranked = record.ranked()
            wanted = {trial.run_directory for trial in ranked[: self.plan.kept]}
            for directory in {trial.run_directory for trial in ranked} - wanted - self._bare:
                for name in _WEIGHTS:
                    shutil.rmtree(Path(str(directory)) / name, ignore_errors=True)
                self._bare.add(str(directory))


def _open_study(plan: SearchPlan, storage: BaseStorage) -> optuna.Study:
    """Make the study, or go on with it if it is the same."""
    wanted = plan.identity()
    if plan.name not in {study.study_name for study in storage.get_all_studies()}:
        study = optuna.create_study(study_name=plan.name, storage=storage, direction=plan.direction)
        study.set_user_attr(IDENTITY, wanted)
        return study
    study = optuna.load_study(study_name=plan.name, storage=storage)
    stored = study.user_attrs.get(IDENTITY)
    if stored is None and not study.get_trials(deepcopy=False):  # cut off between its first two lines
        study.set_user_attr(IDENTITY, wanted)
        return study
    _refuse_another(plan.name, stored or {}, wanted)
    return study


def _refuse_another(name: str, stored: dict[str, Any], wanted: dict[str, Any]) -> None:
    for key in ("direction", "metric", "space", "fixed"):
        before, now = flatten({key: stored.get(key)}), flatten({key: wanted[key]})
        changed = sorted(k for k in before.keys() | now.keys() if before.get(k) != now.get(k))
        if changed:
            what = "; ".join(f"{k.replace('.', ' ', 1)} was {before.get(k)}, now {now.get(k)}" for k in changed[:3])
            more = f" and {len(changed) - 3} more" if len(changed) > 3 else ""
            allowed = f"exists and searches for something else ({what}{more}); choose another study=<name>"
            raise ConfigurationError("study", name, allowed)


def _trial_seed(seed: int, number: int, parameter: str = "") -> int:
    """The seed of the sampler of one parameter: an interrupted search draws what an undisturbed one draws."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{number}/{parameter}".encode()).digest()[:4], "big")
