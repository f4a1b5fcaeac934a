"""What sweeps intend to run, so that runs that have not begun are known."""

import datetime
import hashlib
import json
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mavrl.storage.contents import fits
from mavrl.storage.files import read_json, write_json

_RECORD = {"command": str, "recorded": str, "runs": [{"directory": str, "overrides": [str]}]}  # as `fits` reads it


@dataclass(frozen=True)
class PlannedRun:
    """A run that a sweep intends, whether it has begun or not.

    Args:
        directory: the run's directory, relative to the folder of runs.
        overrides: words of the command line that reproduce the run.
    """

    directory: str
    overrides: tuple[str, ...]

    def __init__(self, directory: str, overrides: list[str] | tuple[str, ...]) -> None:
        object.__setattr__(self, "directory", str(directory))
        object.__setattr__(self, "overrides", tuple(overrides))


@dataclass(frozen=True)
class Sweep:
    """The runs that one command asked for.

    Args:
        id: short hash of the runs.
        command: the command as it was typed.
        recorded: time of the record, in ISO 8601.
        runs: the runs that the command intends.
    """

    id: str
    command: str
    recorded: str
    runs: tuple[PlannedRun, ...]


def record_sweep(root: Path, command: str, runs: list[PlannedRun]) -> Path:
    """Write what a sweep intends to run, and return the file.

    The same runs, in any order, are the same sweep: issuing it again changes nothing, except that runs which were
    purged are wanted again.

    Args:
        root: the folder of runs.
        command: the command as it was typed.
        runs: what the sweep intends to run.

    Raises:
        StorageError: the folder cannot be written.
    """
    content = sorted([run.directory, list(run.overrides)] for run in runs)
    digest = hashlib.sha256(json.dumps(content).encode()).hexdigest()
    name = f"s{digest[:7]}"  # with a letter first, it is never read as a number on a command line
    path = _folder(root) / f"{name}.json"
    if _read(path) is None or _purged(path):
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        listed = [{"directory": run.directory, "overrides": list(run.overrides)} for run in runs]
        write_json(path, {"id": name, "command": command, "recorded": now, "runs": listed})
    return path


def forget_runs(root: Path, directories: Collection[str]) -> None:
    """Note that runs were deleted on purpose, so that no sweep waits for them, until it is issued again.

    Args:
        root: the folder of runs.
        directories: of the runs, relative to that folder.

    Raises:
        StorageError: the record of a sweep cannot be written.
    """
    for path in _folder(root).glob("[!.]*.json"):
        sweep = _read(path)
        gone = {run.directory for run in sweep.runs} & set(directories) if sweep is not None else set()
        if gone:
            write_json(path, {**(read_json(path) or {}), "purged": sorted({*_purged(path), *gone})})


def recorded_sweeps(root: Path) -> list[Sweep]:
    """The sweeps that were recorded in a folder of runs, oldest first. Damaged records are left out."""
    found = [_read(path) for path in _folder(root).glob("[!.]*.json")]
    return sorted((sweep for sweep in found if sweep is not None), key=lambda sweep: (sweep.recorded, sweep.id))


def sweep_of(directory: Path) -> Sweep | None:
    """The newest sweep that wants the run in a directory; None where it belongs to none."""
    path = directory.absolute()
    root = next((parent for parent in path.parents if _folder(parent).is_dir()), None)
    if root is None:
        return None
    name = path.relative_to(root).as_posix()
    wanting = [sweep for sweep in recorded_sweeps(root) if any(run.directory == name for run in sweep.runs)]
    return wanting[-1] if wanting else None


def _folder(root: Path) -> Path:
    return Path(root) / ".sweeps"


def _read(path: Path) -> Sweep | None:
    content: Any = read_json(path)
    if not fits(content, _RECORD):
        return None
    purged = set(_purged(path))
    wanted = (run for run in content["runs"] if run["directory"] not in purged)
    runs = tuple(PlannedRun(run["directory"], run["overrides"]) for run in wanted)
    return Sweep(path.stem, content["command"], content["recorded"], runs)


def _purged(path: Path) -> list[str]:
    """The runs of a sweep that were deleted since it was issued."""
    content: Any = read_json(path)
    found = content.get("purged") if isinstance(content, dict) else None
    return [name for name in found if isinstance(name, str)] if isinstance(found, list) else []
