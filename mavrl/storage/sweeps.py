"""What sweeps intend to run, so that runs that have not begun are known."""

import datetime
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mavrl.storage.files import read_json, write_json


@dataclass(frozen=True)
class Job:
    """One run of a sweep.

    Args:
        directory: of the run, relative to the folder of runs.
        overrides: of the command line, which reproduce the run.
    """

    directory: str
    overrides: tuple[str, ...]

    def __init__(self, directory: str, overrides: list[str] | tuple[str, ...]) -> None:
        object.__setattr__(self, "directory", str(directory))
        object.__setattr__(self, "overrides", tuple(overrides))


@dataclass(frozen=True)
class Sweep:
    """A list of runs that one command asked for.

    Args:
        id: short hash of the jobs.
        command: as it was typed.
        recorded: when, in ISO 8601.
        jobs: what to run.
    """

    id: str
    command: str
    recorded: str
    jobs: tuple[Job, ...]


def record_sweep(root: Path, command: str, jobs: list[Job]) -> Path:
    """Write what a sweep intends to run, and return the file.

    The same jobs, in any order, are the same sweep: issuing it again changes nothing.

    Args:
        root: the folder of runs.
        command: as it was typed.
        jobs: what the sweep intends to run.

    Raises:
        StorageError: the folder cannot be written.
    """
    content = sorted([job.directory, list(job.overrides)] for job in jobs)
    digest = hashlib.sha256(json.dumps(content).encode()).hexdigest()
    name = f"s{digest[:7]}"  # with a letter first, it is never read as a number on a command line
    path = _folder(root) / f"{name}.json"
    if _read(path) is None:
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        listed = [{"directory": job.directory, "overrides": list(job.overrides)} for job in jobs]
        write_json(path, {"id": name, "command": command, "recorded": now, "jobs": listed})
    return path


def recorded_sweeps(root: Path) -> list[Sweep]:
    """The sweeps that were recorded below a folder of runs, oldest first. Damaged files are left out."""
    found = [_read(path) for path in _folder(root).glob("[!.]*.json")]
    return sorted((sweep for sweep in found if sweep is not None), key=lambda sweep: (sweep.recorded, sweep.id))


def _folder(root: Path) -> Path:
    return Path(root) / ".sweeps"


def _read(path: Path) -> Sweep | None:
    content: Any = read_json(path)
    try:
        jobs = tuple(Job(job["directory"], job["overrides"]) for job in content["jobs"])
        return Sweep(path.stem, content["command"], content["recorded"], jobs)
    except (KeyError, TypeError):
        return None
