"""Files that are whole or absent: written under a temporary name, synchronised, then renamed. Text is UTF-8."""

import contextlib
import errno
import hashlib
import json
import logging
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mavrl.errors import StorageError

log = logging.getLogger(__name__)


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Replace a file in one step: the block writes to a temporary path beside it, which is renamed when it succeeds.

    Raises:
        StorageError: the directory cannot be written, or the disk is full.
    """
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=path.suffix)
        os.close(handle)
        temporary = Path(name)
        yield temporary
        with open(temporary, "rb") as written:
            os.fsync(written.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except OSError as error:
        raise storage_error(path, error) from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def naming(path: Path | str) -> Iterator[None]:
    """Name what could not be read or written in the block: a path that the system names, else this one.

    A full disk names none.

    Raises:
        StorageError: something could not be read or written.
    """
    try:
        yield
    except OSError as error:
        raise storage_error(error.filename or path, error) from error


def storage_error(path: Path | str, error: OSError) -> StorageError:
    """The error that says in one line which path could not be written or read, and why."""
    why = "is a symbolic link, which is not followed" if error.errno == errno.ELOOP else error.strerror or error
    return StorageError(f"{path}: {why}")


def write_text(path: Path, text: str) -> None:
    """Write a text file, whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """Write a value as JSON, whole or not at all. NaN and infinity are refused: they are not JSON."""
    write_text(path, json.dumps(value, indent=1, allow_nan=False) + "\n")


def read_json(path: Path) -> Any | None:
    """The content of a JSON file; None when there is no such file or it is damaged."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def checksum(content: bytes) -> str:
    """The SHA-256 checksum of a file's content, in hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()


def write_checked(path: Path, content: bytes) -> str:
    """Write a binary file, whole or not at all. Returns its checksum, for the description that is kept beside it."""
    with replacing(path) as temporary:
        temporary.write_bytes(content)
    return checksum(content)


def read_checked(path: Path, expected: str | None) -> bytes:
    """The content of a binary file that is what its description was written for.

    Args:
        path: of the file.
        expected: checksum in the description; None where an earlier version wrote none, which is warned of.

    Raises:
        StorageError: the file is missing, or has another checksum.
    """
    with naming(path):
        content = path.read_bytes()
    if expected is None:
        log.warning("%s: its description has no checksum, so nobody can say whether it is whole", path)
    elif checksum(content) != expected:
        raise StorageError(f"{path}: damaged, its checksum is not the one in its description")
    return content


def touch(path: Path) -> None:
    """Make an empty file unless there is one. Symbolic links are not followed: another user may have put one there.

    Raises:
        StorageError: it cannot be made, or is a symbolic link.
    """
    with naming(path):
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW, 0o644))


def open_log(path: Path) -> int:
    """A descriptor that appends to a file, which is made when missing. Symbolic links are not followed.

    Raises:
        StorageError: it cannot be opened, or is a symbolic link.
    """
    with naming(path):
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o644)
