"""The digest of a feedback folder: what tells two of them apart, whatever they are called and wherever they are."""

import hashlib
from functools import lru_cache
from pathlib import Path

from mavrl.folder.description import DESCRIPTION
from mavrl.folder.faults import FolderFault
from mavrl.folder.journal import FEEDBACK
from mavrl.storage.files import naming

_FILES = (DESCRIPTION, FEEDBACK, "episodes/main_data.hdf5")


def digest(folder: Path) -> str:
    """The digest of everything in a folder that a result depends on, in hexadecimal digits.

    Raises:
        FolderFault: a file is missing.
    """
    missing = [name for name in _FILES if not (folder / name).is_file()]
    if missing:
        raise FolderFault(folder, missing[0], "is missing")
    with naming(folder):
        stats = [(folder / name).stat() for name in _FILES]
        return _digest(folder, tuple((stat.st_size, stat.st_mtime_ns, stat.st_ino) for stat in stats))


@lru_cache(maxsize=8)
def _digest(folder: Path, stats: tuple[tuple[int, int, int], ...]) -> str:
    """The digest, computed again only where a file has changed."""
    found = hashlib.sha256()
    for name in _FILES:
        with open(folder / name, "rb") as file:
            found.update(hashlib.file_digest(file, "sha256").digest())
    return found.hexdigest()[:20]
