"""Deleting runs, but never one that a process works in."""

import os
import shutil
from pathlib import Path

from mavrl.storage.contents import read_status
from mavrl.storage.index import STATES, Run
from mavrl.storage.run_directory import RunDirectory, acquire


def size_of(path: Path) -> int:
    """The number of bytes in the files below a directory; files that vanish meanwhile count nothing."""
    total = 0
    for directory, _, names in os.walk(path):
        for name in names:
            try:
                total += os.lstat(os.path.join(directory, name)).st_size
            except OSError:
                continue
    return total


def delete_run(run: Run) -> bool:
    """Delete a run's directory, unless the run is no longer what it was when it was found.

    The run's lock is held meanwhile, and the directory is first renamed to a hidden one: whoever looks sees all of the
    run or nothing. A process that is already waiting for the lock finds that the directory is gone and ends with an
    error; one that starts later makes a new one.

    Returns:
        Whether the run was deleted.

    Raises:
        OSError: the directory may not be renamed or deleted.
    """
    if not run.path.is_dir():
        return False
    lock = RunDirectory(run.path).lock()
    if not acquire(lock):
        return False
    try:
        if _status(run.path) != (run.status if "state" in run.status else None):
            return False
        hidden = run.path.with_name(f".purged-{run.path.name}")
        shutil.rmtree(hidden, ignore_errors=True)  # of a purge that was killed
        run.path.rename(hidden)
    finally:
        lock.release()
    shutil.rmtree(hidden)
    return True


def _status(path: Path) -> dict | None:
    content = read_status(path)
    return content if content.get("state") in STATES else None
