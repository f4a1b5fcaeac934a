"""Where studies are kept: Optuna's journal file, or a database by its URL."""

import json
import os
import shlex
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from optuna.storages import BaseStorage, JournalStorage, get_storage
from optuna.storages.journal import BaseJournalBackend, JournalFileOpenLock

from mavrl.errors import StorageError
from mavrl.garbage import uncollected
from mavrl.search.folding import folded, is_entry, read_entries
from mavrl.storage.files import naming, storage_error


class MendingJournal(BaseJournalBackend):
    """A journal file, one entry a line, that survives writers that are killed in the middle of a line.

    Optuna's own backend appends to the torn line, after which the file cannot be read any more. Any other damage is an
    error that names the line.

    Args:
        path: the journal file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._write_lock = JournalFileOpenLock(str(path))  # safe on network file systems
        self._reached = (0, 0)  # entries that have been read, and their bytes

    def read_logs(self, log_number_from: int) -> Iterable[dict[str, Any]]:
        """The entries from a number on; all of them at once are folded, which is what takes long in a long study.

        A torn last line is no entry: it is being written, or its writer was killed.

        Raises:
            StorageError: a line is damaged.
        """
        with naming(self._path):
            entries = read_entries(self._path) if log_number_from == 0 else None
        return self._entries_from(log_number_from) if entries is None else folded(entries)

    def _entries_from(self, log_number_from: int) -> Iterator[dict[str, Any]]:
        number, offset = self._reached if self._reached[0] == log_number_from else (0, 0)
        with naming(self._path), open(self._path, "rb") as file:
            file.seek(offset)
            lines = file.read().split(b"\n")[:-1]
        for line in lines:
            if number >= log_number_from:
                yield self._entry(line, number + 1)
            number, offset = number + 1, offset + len(line) + 1
            self._reached = (number, offset)

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Append one line for each entry, after a whole line and while no other process appends.

        Raises:
            StorageError: the journal cannot be written, for example because the disk is full.
        """
        lines = "".join(json.dumps(log, separators=(",", ":")) + "\n" for log in logs)
        with naming(self._path):
            self._write_lock.acquire()
            try:
                _drop_torn_line(self._path)
                with open(self._path, "ab") as file:
                    file.write(lines.encode())
                    file.flush()
                    os.fsync(file.fileno())
            finally:
                self._write_lock.release()

    def _entry(self, line: bytes, number: int) -> dict[str, Any]:
        entry: Any
        try:
            entry = json.loads(line)
        except (ValueError, RecursionError):
            entry = None
        if not is_entry(entry):
            # Later entries count trials from those before, so a line that is left out alone would move them.
            cut = f"sed -i '{number},$d' {shlex.quote(str(self._path))}"
            cure = f"`{cut}` keeps the {number - 1} before it, and the same command goes on from there"
            raise StorageError(f"{self._path}: line {number} is damaged; {cure}")
        return entry


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
            path.touch()
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
