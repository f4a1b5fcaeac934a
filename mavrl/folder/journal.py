"""The lines of feedback.jsonl: appended, never rewritten, whole under a kill at any byte and under several writers.

A line is there once its line feed is. What a writer that was killed has left of one is no line: readers pass over it,
and the next writer, who holds the lock and so knows that nobody is writing, removes it.
"""

import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from filelock import FileLock

from mavrl.folder.faults import FolderFault
from mavrl.storage.files import naming

FEEDBACK = "feedback.jsonl"
_LOCK = ".lock"


def lock(folder: Path) -> FileLock:
    """The lock that writers of a folder hold."""
    return FileLock(folder / _LOCK)


def append(folder: Path, lines: Sequence[Any]) -> None:
    """Append lines, all of them or, under a kill, the first few, each whole.

    Raises:
        StorageError: the file cannot be written, or the disk is full; whole lines may stand by then.
    """
    content = b"".join(json.dumps(line, ensure_ascii=False, allow_nan=False).encode() + b"\n" for line in lines)
    path = folder / FEEDBACK
    with naming(path), lock(folder):
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            _mend_end(handle)
            while content:
                content = content[os.write(handle, content) :]
            os.fsync(handle)
        finally:
            os.close(handle)


def read(folder: Path) -> Iterator[tuple[int, Any]]:
    """The lines that are whole, parsed, with their numbers from 1.

    Raises:
        FolderFault: the file is missing, or a line is no JSON.
    """
    path = folder / FEEDBACK
    if not path.is_file():
        raise FolderFault(folder, FEEDBACK, "is missing")
    with naming(path):
        content = path.read_bytes()
    lines = content.split(b"\n")
    for number, line in enumerate(lines, 1):
        last = number == len(lines)
        if last and (not line or _parsed(line) is None):
            return
        if not line.strip():
            raise FolderFault(folder, FEEDBACK, "is empty; every line is a label", number)
        try:
            yield number, _STRICT.decode(line.decode())
        except UnicodeDecodeError as error:
            raise FolderFault(folder, FEEDBACK, "is no UTF-8 text", number) from error
        except (ValueError, RecursionError) as error:
            raise FolderFault(folder, FEEDBACK, f"is no JSON: {error}", number) from error


def _mend_end(handle: int) -> None:
    """Remove what a killed writer has left of a line; end a last line that is whole but for its line feed."""
    size = os.lseek(handle, 0, os.SEEK_END)
    end, tail = size, b""
    while end and b"\n" not in tail:
        begin = max(0, end - 65536)
        tail = os.pread(handle, end - begin, begin) + tail
        end = begin
    rest = tail.rpartition(b"\n")[2]
    if not rest:
        return
    if _parsed(rest) is None:
        os.ftruncate(handle, size - len(rest))
    else:
        os.write(handle, b"\n")


def _parsed(line: bytes) -> dict[str, Any] | None:
    """The object in a line; None where it is none, as in what is left of one."""
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no number of JSON")


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"{next(name for name in names if names.count(name) > 1)} stands twice in an object")
    return found


_STRICT = json.JSONDecoder(parse_constant=_refuse_constant, object_pairs_hook=_without_doubles)
