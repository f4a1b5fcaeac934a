"""New feedback folders, whole or not at all."""

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from mavrl.errors import ConfigurationError
from mavrl.folder.description import DESCRIPTION
from mavrl.storage.files import naming


def is_folder(place: Path) -> bool:
    """Whether a feedback folder is there, whatever is in it."""
    return (place / DESCRIPTION).exists()


def check_new(place: Path) -> None:
    """Refuse a place where something is.

    Raises:
        ConfigurationError: there is a file, or a folder that is not empty.
    """
    if place.exists() and (not place.is_dir() or any(place.iterdir())):
        raise ConfigurationError("data", place, "is there and not empty; must be a new folder")


@contextlib.contextmanager
def creating(place: Path) -> Iterator[Path]:
    """Make a folder in one step: the block makes another one, which gets this name when it succeeds.

    Raises:
        StorageError: nothing can be written there.
    """
    with naming(place):
        place.parent.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(dir=place.parent, prefix=f".{place.name}."))
        try:
            yield scratch / "folder"
            (scratch / "folder").rename(place)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
