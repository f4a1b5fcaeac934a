"""Deleting runs: all of one, never one at work, never one that has changed."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from mavrl.storage import deletion
from mavrl.storage.deletion import delete_run, size_of
from mavrl.storage.index import read_run
from mavrl.storage.run_directory import RunDirectory, acquire


@pytest.mark.parametrize("state", ["failed", "interrupted", "completed", "running"])
def test_a_run_without_a_process_is_deleted_and_its_neighbour_is_not(state: str, make_run: Callable[..., Path]) -> None:
    path, neighbour = make_run(state=state), make_run("grid_trap/pd/bbb")
    (path / "checkpoints").mkdir()
    (path / "checkpoints" / "step=1.ckpt").touch()
    run = read_run(path)
    assert run is not None
    assert delete_run(run)
    assert list(path.parent.iterdir()) == [neighbour]
    assert not delete_run(run)
    assert list(path.parent.iterdir()) == [neighbour]


def test_a_run_at_work_is_kept_even_if_it_was_not_when_it_was_found(make_run: Callable[..., Path]) -> None:
    path = make_run(state="failed")
    run = read_run(path)
    assert run is not None
    lock = RunDirectory(path).lock()
    assert acquire(lock)
    assert not delete_run(run)
    assert (path / "status.json").exists()
    lock.release()


def test_a_run_that_has_been_repeated_meanwhile_is_kept(make_run: Callable[..., Path]) -> None:
    path = make_run(state="failed")
    run = read_run(path)
    assert run is not None
    (path / "status.json").write_text(json.dumps({"state": "completed"}))
    assert not delete_run(run)
    assert (path / "status.json").exists()
    assert acquire(RunDirectory(path).lock())  # free again


def test_a_run_with_a_damaged_status_is_deleted_unless_it_has_been_repaired(make_run: Callable[..., Path]) -> None:
    path = make_run()
    whole = (path / "status.json").read_text()
    (path / "status.json").write_text("{")
    run = read_run(path)
    assert run is not None
    (path / "status.json").write_text(whole)
    assert not delete_run(run)
    (path / "status.json").write_text("[]")
    assert delete_run(run)
    assert not path.exists()


def test_what_a_killed_purge_leaves_is_invisible_and_goes_with_the_next(
    make_run: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make_run(state="failed")

    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        run = read_run(path)
        assert run is not None
        patch.setattr(deletion.shutil, "rmtree", lambda *_, ignore_errors=False: None if ignore_errors else killed())
        with pytest.raises(KeyboardInterrupt):
            delete_run(run)
    assert not path.exists()
    assert [p.name for p in path.parent.iterdir()] == [".purged-aaa"]
    run = read_run(make_run(state="failed"))
    assert run is not None
    assert delete_run(run)
    assert list(path.parent.iterdir()) == []


def test_sizes(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x" * 100)
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "b").write_bytes(b"x" * 23)
    (tmp_path / "link").symlink_to("gone")
    assert size_of(tmp_path) == 123 + len("gone")
