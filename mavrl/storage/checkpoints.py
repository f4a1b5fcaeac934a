"""Checkpoints that are whole or absent: each file carries its checksum in its name."""

import logging
from collections.abc import Callable
from pathlib import Path

from mavrl.storage.files import checksum, naming, replacing

log = logging.getLogger(__name__)


class Checkpoints:
    """The checkpoints of one run, of which the newest is kept.

    Args:
        directory: where the checkpoints are; made when needed.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def save(self, step: int, write: Callable[[Path], None]) -> None:
        """Store a checkpoint, and delete the older ones.

        Args:
            step: number of the checkpoint; the highest is the newest.
            write: writes the checkpoint to the path that it is given.
        """
        pending = self.directory / "pending.ckpt"
        with replacing(pending) as temporary:
            write(temporary)
            digest = _digest(temporary)
        final = self.directory / f"step={step:08d}-{digest}.ckpt"
        with naming(final):
            pending.replace(final)
            for path in self._stored():
                if path != final:
                    path.unlink(missing_ok=True)

    def newest(self) -> Path | None:
        """The newest checkpoint that is whole; None when there is none. Damaged ones are warned of and deleted."""
        for path in reversed(self._stored()):
            if path.stem.rpartition("-")[2] == _digest(path):
                return path
            log.warning("checkpoint %s is damaged; it is deleted, and the run goes on without it", path)
            path.unlink(missing_ok=True)
        return None

    def clear(self) -> None:
        """Delete all checkpoints, and their directory."""
        if self.directory.is_dir():
            for path in self.directory.iterdir():
                path.unlink(missing_ok=True)
            self.directory.rmdir()

    def _stored(self) -> list[Path]:
        return sorted(self.directory.glob("step=*.ckpt"))


def _digest(path: Path) -> str:
    with naming(path):
        return checksum(path.read_bytes())[:16]
