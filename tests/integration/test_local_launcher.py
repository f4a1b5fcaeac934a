"""hydra/launcher=local: sweeps on worker processes, and what becomes of them when something dies."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mavrl.storage.files import read_json
from tests.fixtures.processes import wait_until_ended

pytestmark = pytest.mark.integration

LOCAL = ("-m", "hydra/launcher=local")
LONG = ("trainer.max_epochs=100000", "checkpoint_seconds=0")


def _final(runs: Path) -> dict[str, dict[str, Any]]:
    """The metrics of all runs, by their directory."""
    found = {
        str(path.parent.relative_to(runs)): json.loads(path.read_text()) for path in runs.glob("*/*/*/metrics.json")
    }
    return {name: metrics["final"] for name, metrics in found.items()}


def _wait(reached: Callable[[], Any], process: subprocess.Popen | None = None) -> Any:
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline:
        if found := reached():
            return found
        assert process is None or process.poll() is None, process.communicate()
        time.sleep(0.02)
    pytest.fail("never reached")


def _training(runs: Path) -> list[dict[str, Any]]:
    """What the runs that have stored a checkpoint say about themselves."""
    found = [read_json(path.parent / "status.json") for path in runs.glob("*/*/*/checkpoints")]
    return [status for status in found if status]


def test_results_are_those_of_single_runs(fresh_app: Any) -> None:
    swept = fresh_app(*LOCAL, "hydra.launcher.workers=1", "modality=p,dr,s", "env=grid_cliff", process=True)
    assert swept.status == 0, swept.err
    for modality in ("p", "dr", "s"):
        single = fresh_app(f"modality={modality}", "env=grid_cliff", "paths.runs=single", "paths.cache=null")
        assert single.status == 0, single.err
    found = _final(fresh_app.directory / "runs")
    assert len(found) == 3
    assert found == _final(fresh_app.directory / "single")


def test_a_failed_job_leaves_the_others_alone(fresh_app: Any) -> None:
    in_the_way = fresh_app.directory / "runs" / "grid_trap" / "d"
    in_the_way.parent.mkdir(parents=True)
    in_the_way.touch()
    swept = fresh_app(*LOCAL, "hydra.launcher.workers=2", "modality=p,d,r", process=True)
    assert swept.status == 1
    assert "Traceback" not in swept.err
    assert {name.split("/")[1] for name in _final(fresh_app.directory / "runs")} == {"p", "r"}
    lines = [line for line in swept.out.splitlines() if line.startswith("[")]
    assert sorted(line.split()[1] for line in lines) == ["completed", "completed", "failed"]
    (failed,) = (line for line in lines if " failed modality=d: " in line)
    log = fresh_app.directory / failed.rpartition("log ")[2].rstrip(")")
    assert "Traceback" in log.read_text()
    in_the_way.unlink()
    again = fresh_app(*LOCAL, "hydra.launcher.workers=2", "modality=p,d,r", process=True)
    assert again.status == 0, again.err
    assert len(_final(fresh_app.directory / "runs")) == 3


def test_a_killed_worker_fails_its_job_alone(fresh_app: Any) -> None:
    arguments = (*LOCAL, "hydra.launcher.workers=2", "trainer.max_epochs=200", "checkpoint_seconds=0", "modality=p,d,r")
    sweep = fresh_app.start(*arguments)
    (victim, *_) = _wait(lambda: _training(fresh_app.directory / "runs"), sweep)
    os.kill(victim["pid"], signal.SIGKILL)
    swept = fresh_app.finish(sweep)
    assert swept.status == 1
    (failed,) = (line for line in swept.out.splitlines() if line.startswith("[") and " failed " in line)
    assert "its worker process was killed by SIGKILL" in failed
    assert len(_final(fresh_app.directory / "runs")) == 2
    again = fresh_app(*arguments, process=True)
    assert again.status == 0, again.err
    assert len(_final(fresh_app.directory / "runs")) == 3


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_workers_end_with_the_sweep(how: signal.Signals, fresh_app: Any) -> None:
    sweep = fresh_app.start(*LOCAL, "hydra.launcher.workers=2", "modality=p,d", *LONG)
    runs = fresh_app.directory / "runs"
    working = _wait(lambda: len(found := _training(runs)) == 2 and found, sweep)
    pids = [status["pid"] for status in working]
    assert sweep.pid not in pids
    assert len(set(pids)) == 2
    sweep.send_signal(how)
    _, err = sweep.communicate(timeout=60)
    assert sweep.returncode == {signal.SIGTERM: 143, signal.SIGINT: 130}.get(how, -how)
    if how != signal.SIGKILL:  # after which Python itself may speak of semaphores that are left
        assert err == "interrupted; the same command goes on\n"
    assert wait_until_ended(*pids)


def test_a_number_of_workers_that_cannot_be(fresh_app: Any) -> None:
    refused = fresh_app(*LOCAL, "hydra.launcher.workers=0", "modality=p,d", process=True)
    assert refused.status == 2
    assert refused.err == "error: hydra.launcher.workers=0: must be a whole number from 1 to 1024, or null\n"
    assert list(fresh_app.directory.iterdir()) == []
