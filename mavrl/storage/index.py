"""The runs below a folder. Reading them writes nothing, and survives files that are damaged or vanish."""

import fcntl
import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from mavrl.storage.contents import read_config, read_metrics, read_status

STATES = ("running", "interrupted", "completed", "failed")


@dataclass(frozen=True)
class Run:
    """One run, as its directory was when it was found.

    Args:
        path: the run's directory.
        state: one of `STATES`. A run whose process is gone is interrupted.
        status: content of status.json.
    """

    path: Path
    state: str
    status: dict[str, Any]

    @cached_property
    def config(self) -> dict[str, Any]:
        """Content of config.json, read when it is first asked for; empty where a run was killed before it wrote it."""
        return read_config(self.path)

    @cached_property
    def metrics(self) -> dict[str, Any]:
        """Content of metrics.json, read when it is first asked for; empty unless the run is completed."""
        return read_metrics(self.path) if self.state == "completed" else {}

    def choice(self, group: str) -> str | None:
        """The option of a group that was chosen, such as grid_trap of env; None when it is not known."""
        option = self.config.get("choices", {}).get(group)
        return option if isinstance(option, str) else None


def find_runs(root: Path | str) -> list[Run]:
    """Every directory at or below `root` that holds a status.json, in the order of their paths.

    Directories inside a run, those whose name begins with a dot, and symbolic links are not entered.
    """
    return [run for path in _directories(str(root)) if (run := read_run(Path(path))) is not None]


def read_run(path: Path) -> Run | None:
    """The run in a directory; None when there is none."""
    status = read_status(path)
    state = status.get("state")
    if state not in STATES:
        if not (path / "status.json").exists():
            return None
        damaged = {"error": "status.json is damaged"}
        return Run(path, "running", {}) if is_locked(path) else Run(path, "failed", damaged)
    if state == "running" and not is_locked(path):
        # A run may have ended between the two looks.
        status = read_status(path) or status
        state = "interrupted" if status.get("state") == "running" else status.get("state", "interrupted")
    return Run(path, state, status)


def is_locked(path: Path) -> bool:
    """Whether a living process works in a run's directory.

    Asks for a shared lock on a descriptor that cannot write, for an instant. A process that wants the run's lock in
    that very instant waits for it as for any other.
    """
    try:
        descriptor = os.open(path / ".lock", os.O_RDONLY | os.O_NOFOLLOW)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # a file system without locks: nothing says that the process is gone
        return True
    finally:
        os.close(descriptor)
    return False


def _directories(path: str) -> Iterator[str]:
    """Directories of runs, depth first."""
    try:
        with os.scandir(path) as entries:
            found = sorted(entries, key=lambda entry: entry.name)
    except OSError:
        return
    if any(entry.name == "status.json" for entry in found):
        yield path
        return
    for entry in found:
        if not entry.name.startswith(".") and entry.is_dir(follow_symlinks=False):
            yield from _directories(entry.path)
