"""Where studies are kept: Optuna's journal file, or a database by its URL."""

import json
import os
from collections.abc import Generator
from pathlib import Path
from typing import Any

from optuna.storages import BaseStorage, JournalStorage, get_storage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock

from mavrl.errors import StorageError
from mavrl.search.folding import folded, read_entries, uncollected
from mavrl.storage.files import storage_error


class MendingJournal(JournalFileBackend):
    """A journal file that survives writers that are killed in the middle of a line.

    Optuna's own backend appends to the torn line, after which the file cannot be read any more.

    Args:
        path: the journal file; made when missing.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._write_lock = JournalFileOpenLock(str(path))  # safe on network file systems
        super().__init__(str(path), self._write_lock)

    def read_logs(self, log_number_from: int) -> Generator[dict[str, Any], None, None]:
        """The entries from a number on; all of them at once are folded, which is what takes long in a long study."""
        entries = read_entries(self._path) if log_number_from == 0 else None
        yield from super().read_logs(log_number_from) if entries is None else folded(entries)

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Append one line for each entry, after a whole line and while no other process appends."""
        lines = "".join(json.dumps(log, separators=(",", ":")) + "\n" for log in logs)
        self._write_lock.acquire()
        try:
            _drop_torn_line(self._path)
            with open(self._path, "ab") as file:
                file.write(lines.encode())
                file.flush()
                os.fsync(file.fileno())
        finally:
            self._write_lock.release()


def _drop_torn_line(path: Path) -> None:
    with open(path, "rb+") as file:
        end = file.seek(0, 2)
        if end == 0:
            return
        file.seek(end - 1)
        if file.read(1) == b"\n":
            return
        start = max(0, end - 2**20)
        file.seek(start)
        file.truncate(start + file.read().rfind(b"\n") + 1)


def open_storage(place: str, create: bool = False) -> BaseStorage:
    """The storage at a URL such as sqlite:///studies.db, or in a journal file.

    Args:
        place: URL, or path of a journal file.
        create: make a journal file that is missing, with its folder; otherwise it must be there.

    Raises:
        StorageError: it is not there, cannot be reached, or is damaged.
    """
    try:
        if "://" in place:
            return get_storage(place)
        path = Path(place)
        if create:
            path.parent.mkdir(parents=True, exist_ok=True)
        elif not path.exists():
            raise StorageError(f"{path}: no such study; there is no journal file")
        with uncollected():
            return JournalStorage(MendingJournal(path))
    except StorageError:
        raise
    except OSError as error:
        raise storage_error(place, error) from error
    except ImportError as error:
        cure = '; pip install "mavrl[postgres]"' if place.startswith("postgres") else ""
        raise StorageError(f"{place}: {error.__cause__ or error}{cure}") from error
    except Exception as error:  # whatever a database driver raises
        raise StorageError(f"{place}: {' '.join(str(error).split())}") from error
