"""The studies in a folder or a database. Reading them writes nothing, and works while they are searched."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from optuna import Study, load_study
from optuna.storages import BaseStorage

from mavrl.errors import ConfigurationError
from mavrl.search.record import IDENTITY, StudyRecord, TrialRecord, study_record
from mavrl.search.storage import open_storage
from mavrl.storage.contents import fits, read_metrics
from mavrl.storage.files import read_json

# As `fits` reads it.
_CONFIRMED = {
    "trial": int, "value": float, "stderr": object, "seeds": [int], "final": {str: [float]}, "run_directory": str,
    "failed_replicates?": [int],
}  # fmt: skip
_MOST_PARTS = 3  # of a study's name, between slashes, that are looked for in a folder


@dataclass(frozen=True)
class ConfirmedTrial:
    """A trial that was run again on seeds that its search did not use.

    Args:
        trial: number of the trial.
        value: mean of the searched metric on the fresh seeds.
        stderr: standard error of that mean; None for a single seed.
        seeds: seeds of the replicates.
        final: numbers per replicate, by metric, without the replicates that failed.
        run_directory: where the trial ran again.
    """

    trial: int
    value: float
    stderr: float | None
    seeds: tuple[int, ...]
    final: dict[str, list[float]]
    run_directory: str


@dataclass(frozen=True)
class StudyCell:
    """The search of a study in one environment with one subset of feedback.

    Args:
        study: the study as Optuna has it.
        folder: where the runs of its trials are.
    """

    study: Study
    folder: Path

    @cached_property
    def record(self) -> StudyRecord:
        """The study as plain data, as it was when it was first asked for."""
        return study_record(self.study)

    @cached_property
    def confirmation(self) -> ConfirmedTrial | None:
        """The last confirmation, which may be of a trial that is no longer the best; None when there is none."""
        return read_confirmation(self.folder)

    @property
    def is_confirmed(self) -> bool:
        """Whether the trial that is the best now has been confirmed."""
        best, confirmation = self.record.best, self.confirmation
        return best is not None and confirmation is not None and confirmation.trial == best.number

    def values(self, trial: TrialRecord) -> dict[str, list[float]]:
        """Numbers per replicate, by metric, of a completed trial, without the replicates that failed.

        Empty where nothing says which failed: neither the study, which an earlier version wrote, nor the run directory,
        which is gone.
        """
        return _without_failed(trial.final, trial.failed_replicates, self.directory(trial))

    def directory(self, trial: TrialRecord) -> Path | None:
        """The run directory of a trial; None unless it has ended."""
        return _run_directory(self.folder, trial.run_directory)


def find_cells(
    root: Path, study: str, storage: str | None = None, env: str | None = None, modality: str | None = None
) -> list[StudyCell]:
    """The cells of a study.

    Args:
        root: the folder of studies.
        study: name of the study.
        storage: URL or journal file that has the studies of all cells; None where each has its own journal.
        env, modality: restrict the cells to those of an environment or a subset of feedback; None for all.

    Raises:
        ConfigurationError: there is no such study, or no such cell in it.
        StorageError: it cannot be read.
    """
    places = _cell_storages(root, study, storage)
    if not places:
        known = ", ".join(study_names(root, storage)) or "none"
        raise ConfigurationError("study", study, f"there is no such study in {storage or root}; there are: {known}")
    wanted = {cell: place for cell, place in places.items() if env in (None, cell[0]) and modality in (None, cell[1])}
    if not wanted:
        key, value = ("env", env) if env not in (None, *(cell[0] for cell in places)) else ("modality", modality)
        known = ", ".join(" ".join(cell) for cell in places)
        raise ConfigurationError(key, value, f"study {study} has no such cell; it has {known}")
    cells = []
    for (in_env, with_modality), open_cell in wanted.items():
        found, name = open_cell(), f"{study}/{in_env}/{with_modality}"
        if name not in _stored_names(found):  # its search has not got further than making the file
            continue
        loaded = load_study(study_name=name, storage=found)
        if IDENTITY in loaded.user_attrs:
            cells.append(StudyCell(loaded, root / name))
    if not cells:
        raise ConfigurationError("study", study, "has been begun this moment; there is nothing to read yet")
    return cells


def study_names(root: Path, storage: str | None = None) -> list[str]:
    """The names of all studies in a folder, or in one storage."""
    if storage is not None:
        names = _stored_names(_open_existing(storage))
        return sorted({name.rsplit("/", 2)[0] for name in names if name.count("/") >= 2})
    depths = ("*/" * depth + "journal.log" for depth in range(3, _MOST_PARTS + 3))
    return sorted({str(path.relative_to(root).parents[2]) for depth in depths for path in root.glob(depth)})


def read_confirmation(folder: Path) -> ConfirmedTrial | None:
    """What confirmed.json in a cell's folder says; None when there is none or it is damaged."""
    content: Any = read_json(folder / "confirmed.json")
    if not fits(content, _CONFIRMED) or not fits(content["stderr"] or 0.0, float):
        return None
    directory = _run_directory(folder, content["run_directory"])
    return ConfirmedTrial(
        content["trial"],
        content["value"],
        content["stderr"],
        tuple(content["seeds"]),
        _without_failed(content["final"], content.get("failed_replicates"), directory),
        content["run_directory"],
    )


def _without_failed(
    final: dict[str, list[float]], failed: list[int] | None, directory: Path | None
) -> dict[str, list[float]]:
    """Numbers per replicate without those that failed: by what was noted, else by what the run itself says."""
    if failed is None:
        metrics = read_metrics(directory) if directory is not None else {}
        if not metrics:
            return {}
        failed = metrics.get("failed_replicates", [])
    left_out = set(failed or ())
    kept = {name: [x for k, x in enumerate(values) if k not in left_out] for name, values in final.items()}
    return {name: values for name, values in kept.items() if values}


def _run_directory(folder: Path, recorded: str | None) -> Path | None:
    """Where a run is, also when the study has been moved since it was recorded, or is read from elsewhere."""
    if recorded is None:
        return None
    stored, beside = Path(recorded), folder / Path(recorded).name
    return beside if beside.is_dir() and not stored.is_dir() else stored


def _cell_storages(root: Path, study: str, storage: str | None) -> dict[tuple[str, str], Callable[[], BaseStorage]]:
    """How to open the storage of each cell, by environment and modality."""
    if storage is None:
        journals = {path.parts[-3:-1]: path for path in sorted((root / study).glob("*/*/journal.log"))}
        return {(env, modality): partial(open_storage, str(path)) for (env, modality), path in journals.items()}
    opened = _open_existing(storage)
    names = [name.rsplit("/", 2) for name in sorted(_stored_names(opened))]
    return {(parts[1], parts[2]): lambda: opened for parts in names if len(parts) == 3 and parts[0] == study}


def _stored_names(storage: BaseStorage) -> list[str]:
    return [study.study_name for study in storage.get_all_studies()]


def _open_existing(storage: str) -> BaseStorage:
    """Open a storage that is there; Optuna would make a SQLite file that is missing."""
    if storage.startswith("sqlite"):
        from sqlalchemy.engine import make_url

        path = make_url(storage).database
        if path and not Path(path).exists():
            raise ConfigurationError("search.storage", storage, "there is no such file")
    return open_storage(storage)
