"""What figures need of a run's feedback, kept in its directory: it can be drawn again without asking again."""

from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from mavrl.storage.files import write_checked

SHOWN = "shown.safetensors"


def keep_shown(directory: Path, arrays: dict[str, np.ndarray]) -> None:
    """Keep arrays in the directory of a run.

    Raises:
        StorageError: they cannot be written.
    """
    write_checked(directory / SHOWN, save({name: np.ascontiguousarray(array) for name, array in arrays.items()}))


def read_shown(directory: Path) -> dict[str, np.ndarray]:
    """The kept arrays; none where they are missing or damaged, which only figures lack."""
    try:
        return load((directory / SHOWN).read_bytes())
    except (OSError, SafetensorError, ValueError):
        return {}
