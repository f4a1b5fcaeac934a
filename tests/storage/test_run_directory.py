"""A run's directory: state, lock, results."""

import errno
import multiprocessing
import os
import signal
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from mavrl.errors import ConfigurationError, EnvironmentFault, StorageError
from mavrl.interruption import Interruption
from mavrl.storage import files, run_directory
from mavrl.storage.files import read_json
from mavrl.storage.run_directory import RunDirectory, acquire
from tests.fixtures.runs import metrics_of

METRICS = metrics_of({"regret": [1.0]}, seconds={"total": 2.0})


def test_the_states_of_a_run(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path / "run")
    assert run.metrics is None
    run.begin("abc")
    status = read_json(run.path / "status.json")
    assert status["state"] == "running"
    assert status["config_hash"] == "abc"
    assert status["pid"] == os.getpid()
    assert {"host", "started"} <= set(status)
    assert run.metrics is None
    run.complete(METRICS)
    status = read_json(run.path / "status.json")
    assert status["state"] == "completed"
    assert status["config_hash"] == "abc"
    assert status["seconds"] == 2.0
    assert {"started", "ended"} <= set(status)
    assert run.metrics == METRICS


def test_a_failed_run_says_why_and_a_new_start_forgets_it(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path)
    run.begin("abc")
    run.fail(ValueError("too bad"))
    status = read_json(run.path / "status.json")
    assert status["state"] == "failed"
    assert status["error"] == "ValueError: too bad"
    run.begin("abc")
    assert "error" not in read_json(run.path / "status.json")


def test_a_configuration_that_is_refused_leaves_no_run(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path)
    run.begin("abc", {"seed": 3})
    run.fail(ConfigurationError("env.id", "Maze-v0", "not registered"), alone=True)
    assert list(tmp_path.iterdir()) == []


def test_but_a_sweep_knows_what_became_of_it(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path)
    run.begin("abc", {"seed": 3})
    run.fail(ConfigurationError("env.id", "Maze-v0", "not registered"))
    assert read_json(tmp_path / "status.json")["state"] == "failed"


def test_unless_the_run_had_begun(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path)
    run.begin("abc", {"seed": 3})
    run.save_configuration({"config.yaml": "seed: 3\n"})
    run.fail(ConfigurationError("env.id", "Maze-v0", "step 3 of an episode gives the reward nan"), alone=True)
    status = read_json(tmp_path / "status.json")
    assert status["state"] == "failed"
    assert "reward nan" in status["error"]


def test_the_traceback_of_an_environment_is_kept(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path)
    run.begin("abc", {"seed": 3})
    fault = EnvironmentFault("env.id", "Maze-v0", "its reset raises KeyError: 3", "Traceback: all of it")
    run.fail(fault)
    status = read_json(tmp_path / "status.json")
    assert (tmp_path / "environment_error.txt").read_text() == "Traceback: all of it"
    assert status["state"] == "failed"
    assert str(tmp_path / "environment_error.txt") in status["error"]
    assert str(fault) in status["error"]


@pytest.mark.parametrize("end", [KeyboardInterrupt(), Interruption(signal.SIGTERM), SystemExit(-1)])
def test_what_the_user_or_a_scheduler_ends_is_interrupted_not_failed(end: BaseException, tmp_path: Path) -> None:
    run = RunDirectory(tmp_path)
    run.begin("abc")
    run.fail(end)
    status = read_json(run.path / "status.json")
    assert status["state"] == "interrupted"
    assert "ended" in status
    assert "error" not in status


def test_an_exit_that_no_signal_asked_for_is_a_failure(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path)
    run.begin("abc")
    run.fail(SystemExit(0))
    status = read_json(run.path / "status.json")
    assert (status["state"], status["error"]) == ("failed", "SystemExit: 0")


def test_a_lock_that_is_a_symbolic_link_is_refused(tmp_path: Path) -> None:
    """Another user who may write there could have put it, to make this one touch files elsewhere."""
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / ".lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StorageError, match=r"\.lock: is a symbolic link"):
        RunDirectory(tmp_path / "run").lock()
    assert not (tmp_path / "elsewhere").exists()


def test_the_configuration_is_readable_from_the_beginning(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path)
    run.begin("abc", {"seed": 3, "choices": {"env": "grid_trap"}})
    assert read_json(tmp_path / "config.json") == {"seed": 3, "choices": {"env": "grid_trap"}}


def test_a_kill_between_the_first_files_leaves_the_status(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A directory with other files and no status would be refused as a foreign one."""
    written = []
    monkeypatch.setattr(run_directory, "write_json", lambda path, _: written.append(path.name))
    RunDirectory(tmp_path).begin("abc", {"seed": 3})
    assert written == ["status.json", "config.json"]


def test_results_of_a_run_that_is_running_again_are_not_given_out(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path)
    run.begin("abc")
    run.complete(METRICS)
    run.begin("abc")
    assert run.metrics is None


def test_damaged_files_are_no_results(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path)
    run.begin("abc")
    run.complete(METRICS)
    (tmp_path / "metrics.json").write_text("{")
    assert run.metrics is None
    run.complete(METRICS)
    (tmp_path / "status.json").write_text("")
    assert run.metrics is None


def test_noting_a_failure_never_raises(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = RunDirectory(tmp_path)
    run.begin("abc")

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    run.fail(ValueError("first"))
    assert read_json(tmp_path / "status.json")["state"] == "running"
    with pytest.raises(StorageError):
        run.complete(METRICS)


def test_a_directory_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="file"):
        RunDirectory(tmp_path / "file" / "run").lock()


def test_the_configuration_is_kept(tmp_path: Path) -> None:
    RunDirectory(tmp_path).save_configuration({"config.yaml": "a: 1\n", "overrides.yaml": "[]\n"})
    assert (tmp_path / ".hydra" / "config.yaml").read_text() == "a: 1\n"


def _hold(path: Path, connection: Connection) -> None:
    lock = RunDirectory(path).lock()
    connection.send(acquire(lock))
    connection.recv()


@pytest.mark.parametrize("end", ["killed", "returned"])
def test_one_process_at_a_time_and_the_lock_is_freed_however_it_ends(end: str, tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe()
    holder = context.Process(target=_hold, args=(tmp_path, theirs))
    holder.start()
    assert ours.recv() is True
    lock = RunDirectory(tmp_path).lock()
    assert not acquire(lock)
    if end == "killed":
        os.kill(holder.pid or 0, signal.SIGKILL)
    else:
        ours.send("go")
    holder.join()
    assert acquire(lock)
    lock.release()
