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
from optuna.trial import FrozenTrial, TrialState

from mavrl.configuration.plain import flatten
from mavrl.errors import ConfigurationError
from mavrl.metrics import Direction
from mavrl.search.record import ASKED, IDENTITY, StudyRecord, study_record
from mavrl.search.space import SearchSpace
from mavrl.storage.files import read_json
from mavrl.storage.run_directory import acquire

_MOST_ATTEMPTS = 10  # at a trial whose run ends without a result
_WEIGHTS = ("reward_model", "policies")  # in a run directory

optuna.logging.set_verbosity(optuna.logging.WARNING)


@dataclass(frozen=True)
class Plan:
    """What one search is for.

    Args:
        study: name of the study that the cell belongs to.
        env, modality: the cell.
        metric, direction: of metrics.json, and which way it is better.
        space: what is varied.
        fixed: settings that are not, by configuration key.
        command: overrides that all trials have in common.
        n_trials: in all, failed ones included.
        seed: of the sampler.
        kept: best trials whose weights are kept.
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
        return f"{self.study}/{self.env}/{self.modality}"

    @property
    def total(self) -> int:
        """Trials that there will be: one when nothing is varied."""
        return self.n_trials if self.space.distributions else min(self.n_trials, 1)

    def identity(self) -> dict[str, Any]:
        """What must be the same for the study to go on."""
        about = {key: getattr(self, key) for key in ("env", "modality", "metric", "direction", "fixed", "command")}
        return {**about, "space": self.space.description()}


@dataclass(frozen=True)
class Assignment:
    """A trial to run.

    Args:
        trial: its number.
        overrides: its part of the command line.
        n_samples: counts that the search chose, by kind.
    """

    trial: int
    overrides: list[str]
    n_samples: dict[str, int]


class Search:
    """The trials of one plan.

    Args:
        plan: what is searched.
        storage: where the study is; it is made when it is not there.
        folder: for locks.
        sampler: gives a sampler from a seed.

    Raises:
        ConfigurationError: the study exists and searches for something else.
    """

    def __init__(self, plan: Plan, storage: BaseStorage, folder: Path, sampler: Callable[[int], BaseSampler]) -> None:
        self.plan = plan
        self._sampler = sampler
        self._folder = folder
        self._id = uuid.uuid4().hex[:12]
        self._running: set[int] = set()
        self._pruned: set[str] = set()
        (folder / ".owners").mkdir(parents=True, exist_ok=True)
        self._alive = FileLock(self._owner_lock(self._id))
        self._alive.acquire()
        self._turn = FileLock(folder / ".turn")  # one searching process at a time takes trials
        with self._turn:
            self.study = _open(plan, storage)
            if self.study.user_attrs.get(ASKED) != plan.total:
                self.study.set_user_attr(ASKED, plan.total)

    def close(self) -> None:
        """Give up what is still owned."""
        self._alive.release()
        self._owner_lock(self._id).unlink(missing_ok=True)

    @property
    def record(self) -> StudyRecord:
        return study_record(self.study)

    def take(self, count: int) -> list[Assignment]:
        """Up to so many trials to run now: first those whose owner is gone, then new ones. None: all are taken."""
        with self._turn:
            trials = self.study.get_trials(deepcopy=False)
            orphans = [trial for trial in trials if trial.state == TrialState.RUNNING and self._is_orphan(trial)]
            taken = [trial for trial in orphans if self._claim(trial)][:count]
            numbers = [trial.number for trial in taken]
            for number in range(len(trials), min(self.plan.total, len(trials) + count - len(taken))):
                self.study.sampler = self._sampler(_seed(self.plan.seed, number))
                trial = self.study.ask()
                self._own(trial)
                numbers.append(trial.number)
            self._running |= set(numbers)
            return [self._assignment(number) for number in numbers]

    def _assignment(self, number: int) -> Assignment:
        frozen = self.study.get_trials(deepcopy=False)[number]
        self.study.sampler = self._sampler(_seed(self.plan.seed, number))
        trial = optuna.trial.Trial(self.study, frozen._trial_id)  # one that was cut off while being drawn goes on
        space = self.plan.space
        params = space.suggest(trial)
        counts, overrides = space.counts(params), space.overrides(params)
        trial.set_user_attr("overrides", overrides)
        return Assignment(number, overrides, counts)

    def _claim(self, trial: FrozenTrial) -> bool:
        """Own a trial whose owner is gone, unless it has ended without a result too often."""
        live = optuna.trial.Trial(self.study, trial._trial_id)
        attempts = trial.user_attrs.get("attempts", 1)
        if attempts >= _MOST_ATTEMPTS:
            live.set_user_attr("error", f"its run ended without a result {attempts} times")
            self.study.tell(trial.number, state=TrialState.FAIL)
            return False
        live.set_user_attr("attempts", attempts + 1)
        self._own(live)
        return True

    def _own(self, trial: optuna.trial.Trial) -> None:
        trial.set_user_attr("owner", self._id)

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
        """Record what became of a trial. False: it ended without a result, and is taken again later.

        Args:
            directory: where it ran.
            error: that its launcher saw, if any.
        """
        self._running.discard(assignment.trial)
        status, metrics = read_json(directory / "status.json") or {}, read_json(directory / "metrics.json") or {}
        trial = optuna.trial.Trial(self.study, self.study.get_trials(deepcopy=False)[assignment.trial]._trial_id)
        ended = status.get("state") == "completed"
        why = None
        if ended and self.plan.metric not in metrics.get("mean", {}):
            why = f"metrics.json has no {self.plan.metric}"
        elif not ended and (status.get("state") == "failed" or isinstance(error, ConfigurationError)):
            why = status.get("error") or str(error)
        elif not ended:
            return False
        trial.set_user_attr("run_directory", str(directory))
        if why is not None:
            trial.set_user_attr("error", why)
            self.study.tell(assignment.trial, state=TrialState.FAIL)
            return True
        for key, value in {
            "final": metrics["final"],
            "n_samples": metrics["n_samples"],
            "seconds": metrics["seconds"]["total"],
        }.items():
            trial.set_user_attr(key, value)
        self.study.tell(assignment.trial, metrics["mean"][self.plan.metric])
        self._prune()
        return True

    def _prune(self) -> None:
        """Delete the weights of all completed trials but the best ones."""
        with self._turn:
            record = self.record
            ranked = record.ranked()
            wanted = {trial.run_directory for trial in ranked[: self.plan.kept]}
            for directory in {trial.run_directory for trial in ranked} - wanted - self._pruned:
                for name in _WEIGHTS:
                    shutil.rmtree(Path(str(directory)) / name, ignore_errors=True)
                self._pruned.add(str(directory))


def _open(plan: Plan, storage: BaseStorage) -> optuna.Study:
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


def _seed(seed: int, number: int) -> int:
    """Of one trial's sampler: an interrupted search draws what an undisturbed one draws."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{number}".encode()).digest()[:4], "big")
