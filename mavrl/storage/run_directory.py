"""A run's directory: its state, its lock, its results. Safe when several processes meet in it."""

import datetime
import os
import socket
from pathlib import Path
from typing import Any, Literal

from filelock import FileLock, Timeout

from mavrl.errors import ConfigurationError, EnvironmentFault
from mavrl.interruption import is_interruption
from mavrl.secrets import masked_text
from mavrl.storage.contents import read_metrics, read_status
from mavrl.storage.files import naming, touch, write_json, write_text

State = Literal["running", "interrupted", "completed", "failed"]
_CONFIGURATION = ".hydra"


class RunDirectory:
    """The files of one run: status.json, config.json, metrics.json, .hydra/, and what the task writes beside them.

    Args:
        path: the directory; made when missing.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)

    @property
    def metrics(self) -> dict[str, Any] | None:
        """The results of a completed run; None otherwise."""
        return read_metrics(self.path) or None if read_status(self.path).get("state") == "completed" else None

    def lock(self) -> FileLock:
        """The lock that a process holds while it works in the directory, free when that process ends, however it ends.

        Raises:
            StorageError: the directory cannot be made or written, or its lock is a symbolic link.
        """
        with naming(self.path):
            self.path.mkdir(parents=True, exist_ok=True)
        touch(self.path / ".lock")
        return FileLock(self.path / ".lock")

    def begin(self, config_hash: str, config: dict[str, Any] | None = None) -> None:
        """Note that this process has started to work on the run.

        Args:
            config_hash: hash of the scientific configuration.
            config: content of config.json, which index and filters read; None writes none.
        """
        # First the status: a directory with other files and without one is taken for a foreign directory.
        self._status(state="running", config_hash=config_hash, started=_now())
        if config is not None:
            write_json(self.path / "config.json", config)

    def advance(self, round: int, rounds: int) -> None:
        """Note in which round of questions the run is.

        Args:
            round: from 1.
            rounds: in all.
        """
        write_json(self.path / "status.json", {**read_status(self.path), "round": round, "rounds": rounds})

    def complete(self, metrics: dict[str, Any]) -> None:
        """Write the results, then that they are complete: in this order, a completed run has its results."""
        write_json(self.path / "metrics.json", metrics)
        self._status(state="completed", ended=_now(), seconds=metrics["seconds"]["total"])

    def fail(self, error: BaseException, alone: bool = False) -> None:
        """Note why the run failed, or that it was interrupted. Never raises: the error that it reports matters more.

        The traceback of an environment's own error is kept.

        Args:
            error: that ended the run.
            alone: whether nobody asks later what became of it, as in a sweep. Then a configuration that is refused
                before it is saved leaves no run.
        """
        try:
            if isinstance(error, EnvironmentFault):
                error.keep(self.path)
            refused = isinstance(error, ConfigurationError) and not isinstance(error, EnvironmentFault)
            if read_status(self.path).get("state") == "completed":
                return  # the result is there: what failed came after it
            if is_interruption(error):
                self._status(state="interrupted", ended=_now())
            elif alone and refused and not (self.path / _CONFIGURATION).exists():
                for name in ("config.json", "status.json"):
                    (self.path / name).unlink(missing_ok=True)
            else:
                self._status(state="failed", ended=_now(), error=masked_text(f"{type(error).__name__}: {error}"))
        except Exception:  # the disk may be what failed
            return

    def save_configuration(self, files: dict[str, str]) -> None:
        """Write the configuration to .hydra/, as Hydra does."""
        for name, text in files.items():
            write_text(self.path / _CONFIGURATION / name, text)

    def _status(self, state: State, **facts: Any) -> None:
        previous = {} if state == "running" else read_status(self.path)
        identity = {"host": socket.gethostname(), "pid": os.getpid()}
        write_json(self.path / "status.json", {**previous, **identity, "state": state, **facts})


def acquire(lock: FileLock) -> bool:
    """Take the lock if it is free."""
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return False
    return True


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
