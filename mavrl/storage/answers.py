"""The store of answered questions: one file per kind of feedback, settings and seed, checked when it is read.

An entry is named by the hash of everything that its samples depend on, apart from how many there are. The first n
samples do not depend on the count, so an entry that holds more serves a smaller request by its prefix. Writers of the
same entry write the same content, and replace the file in one step: readers see a whole entry or none.
"""

import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from mavrl.storage.files import checksum, write_checked

log = logging.getLogger(__name__)

Arrays = dict[str, np.ndarray]


class AnswerStore:
    """Answered questions on disk.

    Args:
        directory: where the entries are; None keeps nothing.
    """

    def __init__(self, directory: Path | str | None) -> None:
        self.directory = None if directory is None else Path(directory)

    def path(self, key: dict[str, Any]) -> Path | None:
        """The file of the entry with this key; None when nothing is kept."""
        if self.directory is None:
            return None
        text = json.dumps(key, sort_keys=True, default=str)
        return self.directory / key["kind"] / f"{checksum(text.encode())[:20]}.safetensors"

    def read(self, key: dict[str, Any], n_samples: int) -> Arrays | None:
        """The arrays of an entry; None unless it is whole and holds at least `n_samples` samples (their first axis)."""
        path = self.path(key)
        if path is None or not path.exists():
            return None
        try:
            arrays = _unpack(path.read_bytes())
        except (OSError, ValueError, SafetensorError) as error:
            log.warning("cache entry %s is damaged (%s); asking its questions again", path, error)
            return None
        return arrays if arrays["size"].item() >= n_samples else None

    def write(self, key: dict[str, Any], arrays: Arrays, n_samples: int) -> None:
        """Store an entry, replacing a smaller or damaged one."""
        path = self.path(key)
        if path is not None and path.is_dir():
            log.warning("cache entry %s is a directory; its answers are not kept", path)
        elif path is not None:
            write_checked(path, _pack({**arrays, "size": np.array(n_samples)}))


def _pack(arrays: Arrays) -> bytes:
    content = save({name: np.asarray(array, order="C") for name, array in arrays.items()})
    return bytes.fromhex(checksum(content)) + content


def _unpack(content: bytes) -> Arrays:
    digest, content = content[:32], content[32:]
    if checksum(content) != digest.hex():
        raise ValueError("its checksum does not match")
    return load(content)
