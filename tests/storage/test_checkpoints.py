"""Checkpoints are whole or absent."""

import errno
import logging
from pathlib import Path

import pytest

from mavrl.errors import StorageError
from mavrl.storage import files
from mavrl.storage.checkpoints import Checkpoints


def _write(content: bytes):
    return lambda path: path.write_bytes(content)


def test_the_newest_is_found_and_older_ones_go(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path / "checkpoints")
    assert checkpoints.newest() is None
    for step in (1, 20, 300):
        checkpoints.save(step, _write(b"step %d" % step))
        newest = checkpoints.newest()
        assert newest is not None
        assert newest.read_bytes() == b"step %d" % step
    assert len(list((tmp_path / "checkpoints").iterdir())) == 1


@pytest.mark.parametrize("damage", [b"", b"new conten", b"new contenT"])
def test_a_damaged_checkpoint_is_warned_of_and_the_one_before_taken(
    damage: bytes, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(1, _write(b"old"))
    (old,) = tmp_path.iterdir()
    checkpoints.save(2, _write(b"new content"))
    (new,) = tmp_path.iterdir()
    new.write_bytes(damage)
    old.write_bytes(b"old")
    with caplog.at_level(logging.WARNING):
        assert checkpoints.newest() == old
        assert str(new) in caplog.text
        old.write_bytes(b"")
        assert checkpoints.newest() is None
    assert not list(tmp_path.iterdir())


def test_a_failing_write_leaves_the_old_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(1, _write(b"old"))
    old = checkpoints.newest()

    def fail(path: Path) -> None:
        path.write_bytes(b"half")
        raise RuntimeError

    with pytest.raises(RuntimeError):
        checkpoints.save(2, fail)
    assert checkpoints.newest() == old

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(files.os, "fsync", full)
        with pytest.raises(StorageError, match="No space left on device"):
            checkpoints.save(2, _write(b"new"))
    assert checkpoints.newest() == old
    assert list(tmp_path.iterdir()) == [old]


def test_what_a_killed_process_left_is_ignored_and_cleared(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path / "checkpoints")
    checkpoints.save(1, _write(b"whole"))
    newest = checkpoints.newest()
    for name in ("pending.ckpt", ".pending.ckpt.x7.ckpt"):
        (tmp_path / "checkpoints" / name).write_bytes(b"half")
    assert checkpoints.newest() == newest
    checkpoints.clear()
    assert not (tmp_path / "checkpoints").exists()
    checkpoints.clear()
