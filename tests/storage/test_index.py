"""The index of runs: states, damage, what is not entered, and that it leaves no trace."""

import fcntl
import json
import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from mavrl.storage.index import find_runs, is_locked, read_run
from mavrl.storage.run_directory import RunDirectory, acquire


def _names(root: Path) -> list[str]:
    return [str(run.path.relative_to(root)) for run in find_runs(root)]


def test_runs_of_any_depth_are_found_in_order_and_nothing_inside_them(
    make_run: Callable[..., Path], tmp_path: Path
) -> None:
    make_run("grid_trap/pd/bbb")
    inside = make_run("grid_trap/pd/aaa") / "transfer"
    make_run("study/1/grid_cliff/pd/ccc")
    for odd in (inside, tmp_path / "runs" / ".sweeps", tmp_path / "runs" / "grid_trap" / ".purged-x"):
        odd.mkdir(exist_ok=True)
        (odd / "status.json").write_text('{"state": "completed"}')
    (tmp_path / "runs" / "empty").mkdir()
    (tmp_path / "runs" / "loop").symlink_to(tmp_path / "runs", target_is_directory=True)
    assert _names(tmp_path / "runs") == ["grid_trap/pd/aaa", "grid_trap/pd/bbb", "study/1/grid_cliff/pd/ccc"]
    assert _names(tmp_path / "runs" / "grid_trap" / "pd" / "aaa") == ["."]
    assert find_runs(tmp_path / "missing") == []


@pytest.mark.parametrize("state", ["completed", "failed", "interrupted"])
def test_states_as_written(state: str, make_run: Callable[..., Path], tmp_path: Path) -> None:
    make_run(state=state, error="E: x")
    (run,) = find_runs(tmp_path / "runs")
    assert run.state == state
    assert run.status["error"] == "E: x"
    assert run.choice("env") == "grid_trap"
    assert run.choice("policy") is None


def test_a_run_is_running_only_while_its_process_lives(tmp_path: Path) -> None:
    directory = RunDirectory(tmp_path / "runs" / "a")
    lock = directory.lock()
    assert acquire(lock)
    directory.begin("abc", {"seed": 1})
    assert [run.state for run in find_runs(tmp_path)] == ["running"]
    lock.release()
    assert [run.state for run in find_runs(tmp_path)] == ["interrupted"]
    (directory.path / ".lock").unlink()
    assert [run.state for run in find_runs(tmp_path)] == ["interrupted"]


def test_looking_at_a_lock_takes_it_from_nobody(tmp_path: Path) -> None:
    """Several may look at once, and a free lock is free afterwards."""
    directory = RunDirectory(tmp_path)
    lock = directory.lock()
    with open(tmp_path / ".lock") as other:
        fcntl.flock(other, fcntl.LOCK_SH)
        assert not is_locked(tmp_path)
    assert not is_locked(tmp_path)
    assert acquire(lock)
    assert is_locked(tmp_path)
    lock.release()


def test_a_run_that_ends_between_two_looks_is_completed(make_run: Callable[..., Path], monkeypatch) -> None:
    path = make_run(state="running")

    def ends(directory: Path) -> bool:
        (directory / "status.json").write_text('{"state": "completed"}')
        return False

    monkeypatch.setattr("mavrl.storage.index.is_locked", ends)
    run = read_run(path)
    assert run is not None
    assert run.state == "completed"


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"state": "odd"}', "null", "\x00\xff"])
def test_a_damaged_status_is_a_failure_that_says_so(damage: str, make_run: Callable[..., Path], tmp_path: Path) -> None:
    (make_run() / "status.json").write_text(damage)
    (run,) = find_runs(tmp_path / "runs")
    assert (run.state, run.status) == ("failed", {"error": "status.json is damaged"})


@pytest.mark.parametrize("name", ["config.json", "metrics.json"])
@pytest.mark.parametrize("damage", [None, "", "{", "[1]"])
def test_other_damaged_or_missing_files_are_empty(
    name: str, damage: str | None, make_run: Callable[..., Path], tmp_path: Path
) -> None:
    path = make_run(values={"regret": [1.0]}) / name
    path.unlink() if damage is None else path.write_text(damage)
    (run,) = find_runs(tmp_path / "runs")
    if name == "metrics.json":
        assert run.metrics == {}
    else:
        assert run.config == {}
        assert run.choice("env") is None


def test_metrics_of_a_run_that_is_repeated_are_not_given_out(make_run: Callable[..., Path], tmp_path: Path) -> None:
    make_run(state="failed", values={"regret": [1.0]})
    assert find_runs(tmp_path / "runs")[0].metrics == {}


def test_directories_that_vanish_while_they_are_read(make_run: Callable[..., Path], tmp_path: Path) -> None:
    import shutil

    over = threading.Event()

    def come_and_go() -> None:
        while not over.is_set():
            shutil.rmtree(make_run("grid_trap/pd/gone"))

    make_run("grid_trap/pd/stays")
    thread = threading.Thread(target=come_and_go)
    thread.start()
    try:
        for _ in range(200):
            found = {run.path.name for run in find_runs(tmp_path / "runs") if run.config is not None}
            assert "stays" in found
    finally:
        over.set()
        thread.join()


def test_nothing_is_written_or_touched(make_run: Callable[..., Path], tmp_path: Path) -> None:
    make_run(state="running")
    make_run("grid_trap/pd/bbb", values={"regret": [1.0]})
    before = {p: (p.stat().st_mtime_ns, p.stat().st_ctime_ns) for p in [tmp_path, *tmp_path.rglob("*")]}
    for run in find_runs(tmp_path / "runs"):
        json.dumps([run.config, run.metrics])
    assert {p: (p.stat().st_mtime_ns, p.stat().st_ctime_ns) for p in [tmp_path, *tmp_path.rglob("*")]} == before


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anything")
def test_a_folder_without_permission_to_write_is_read(make_run: Callable[..., Path], tmp_path: Path) -> None:
    path = make_run(state="running")
    (path / ".lock").chmod(0o444)
    path.chmod(0o555)
    assert [run.state for run in find_runs(tmp_path / "runs")] == ["interrupted"]
    path.chmod(0o755)
