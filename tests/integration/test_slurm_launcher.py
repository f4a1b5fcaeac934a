"""hydra/launcher=euler on a real SLURM, such as tests/integration/slurm-single-node.sh starts."""

import csv
import json
import re
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mavrl.storage.files import read_json
from tests.fixtures.slurm import without_slurm

_REASON = without_slurm()
pytestmark = [pytest.mark.integration, pytest.mark.slurm, pytest.mark.skipif(bool(_REASON), reason=_REASON)]

SLURM = (
    "-m", "hydra/launcher=euler", "hydra.launcher.setup=[]", "hydra.launcher.mem_per_cpu=null",
    "hydra.launcher.cpus_per_task=1",
)  # fmt: skip
SHORT = ("trainer.max_epochs=600", "checkpoint_seconds=0")
SECONDS_OF_TRAINING = 50  # more than a job can do before its first signal


def _results(runs: Path) -> dict[str, dict[str, Any]]:
    """The metrics of all runs, by modality."""
    return {path.parts[-3]: json.loads(path.read_text()) for path in runs.glob("*/*/*/metrics.json")}


def _lines(out: str) -> list[str]:
    return [line for line in out.splitlines() if re.match(r"\[\d+/\d+\] ", line)]


def _wait(reached: Callable[[], Any], process: subprocess.Popen) -> Any:
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline:
        if found := reached():
            return found
        assert process.poll() is None, process.communicate()
        time.sleep(0.1)
    pytest.fail("never reached")


def _job_of(runs: Path, modality: str) -> str:
    """The SLURM job of a run that has stored a checkpoint."""
    (pid,) = (read_json(path.parent / "status.json")["pid"] for path in runs.glob(f"*/{modality}/*/checkpoints"))
    variables = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    values = dict(variable.decode(errors="replace").partition("=")[::2] for variable in variables)
    array = values.get("SLURM_ARRAY_JOB_ID")
    return f"{array}_{values['SLURM_ARRAY_TASK_ID']}" if array else values["SLURM_JOB_ID"]


def _checkpointed(runs: Path, modality: str) -> bool:
    return any(runs.glob(f"*/{modality}/*/checkpoints/step=*"))


def test_a_multirun_is_an_array_and_a_failed_job_leaves_the_others_alone(fresh_app: Any) -> None:
    runs = fresh_app.directory / "runs"
    in_the_way = runs / "grid_trap" / "d"
    in_the_way.parent.mkdir(parents=True)
    in_the_way.touch()
    swept = fresh_app(*SLURM, "modality=p,d,r", process=True)
    assert swept.status == 1
    assert set(_results(runs)) == {"p", "r"}
    number = re.search(r"SLURM job (\d+): 3 submitted", swept.out)
    assert number is not None
    lines = _lines(swept.out)
    assert sorted(re.findall(r"SLURM job (\d+_\d)", "\n".join(lines))) == [f"{number[1]}_{k}" for k in range(3)]
    (failed,) = (line for line in lines if " failed modality=d: " in line)
    log = Path(failed.rpartition("log ")[2].rstrip(")"))
    assert log.is_relative_to(runs / ".submitit")
    assert log.exists()
    single = fresh_app("modality=p", "paths.runs=single", "paths.cache=null")
    assert _results(fresh_app.directory / "single")["p"]["final"] == _results(runs)["p"]["final"], single.err


def test_jobs_that_slurm_refuses_are_one_clear_error(fresh_app: Any) -> None:
    refused = fresh_app(*SLURM, "modality=p,d", "hydra.launcher.partition=no_such_partition", process=True)
    assert refused.status == 2
    (line,) = refused.err.splitlines()
    assert line.startswith("error: hydra/launcher=euler: SLURM refuses the jobs: ")
    assert "no_such_partition" in line


def test_a_cancelled_job_leaves_the_others_alone(fresh_app: Any) -> None:
    runs = fresh_app.directory / "runs"
    sweep = fresh_app.start(*SLURM, "modality=p,d", *SHORT)
    _wait(lambda: _checkpointed(runs, "p"), sweep)
    job = _job_of(runs, "p")
    subprocess.run(["scancel", job], check=True)
    swept = fresh_app.finish(sweep)
    assert swept.status == 1
    assert set(_results(runs)) == {"d"}
    (failed,) = (line for line in _lines(swept.out) if " failed modality=p: " in line)
    assert f"SLURM job {job} ended without a result, state CANCELLED; log " in failed
    (status,) = runs.glob("*/p/*/status.json")
    assert read_json(status)["state"] in ("running", "interrupted")  # never failed, for it was not


def test_jobs_go_on_without_the_launcher_and_are_not_repeated(fresh_app: Any) -> None:
    runs = fresh_app.directory / "runs"
    arguments = (*SLURM, "modality=p", *SHORT)
    sweep = fresh_app.start(*arguments)
    _wait(lambda: _checkpointed(runs, "p"), sweep)
    sweep.send_signal(signal.SIGKILL)
    sweep.communicate()
    (path,) = runs.glob("*/p/*/status.json")
    begun = read_json(path)
    again = fresh_app(*arguments, process=True)
    assert again.status == 0, again.err
    ended = read_json(path)
    assert ended["state"] == "completed"
    assert (ended["pid"], ended["started"]) == (begun["pid"], begun["started"])


@pytest.mark.parametrize("times", [0, 1])
def test_a_job_is_queued_again_as_often_as_it_may_be(times: int, fresh_app: Any) -> None:
    """The signal that comes before the time limit is sent by hand; the next test waits for it."""
    runs = fresh_app.directory / "runs"
    sweep = fresh_app.start(
        *SLURM, "modality=p", *SHORT, "hydra.launcher.timeout_min=5",
        f"hydra.launcher.max_num_timeout={times}",
    )  # fmt: skip
    _wait(lambda: _checkpointed(runs, "p"), sweep)
    job = _job_of(runs, "p")
    subprocess.run(["scancel", "--signal=USR2", job], check=True)
    swept = fresh_app.finish(sweep)
    (line,) = _lines(swept.out)
    assert swept.status == (1 if times == 0 else 0)
    if times == 0:
        assert f"failed {line.split()[2]}" in line
        assert f"SLURM job {job}, state TIMEOUT: Job not requeued because: timed-out too many times.; log " in line
    else:
        assert f"(SLURM job {job})" in line
        assert _restarts(job) == 1


def test_a_job_killed_by_its_time_limit_ends_like_an_undisturbed_run(fresh_app: Any) -> None:
    """With SLURM's smallest limit; how many epochs take longer than that is measured, on a machine that is not even."""
    probe = fresh_app("modality=pr", "trainer.max_epochs=400", "paths.runs=probe")
    epochs = int(400 * SECONDS_OF_TRAINING / probe.metrics["seconds"]["train"])
    for attempt in range(4):
        runs, epochs = f"runs{attempt}", epochs * (1 + (attempt > 0))
        arguments = ("modality=pr", f"trainer.max_epochs={epochs}", "checkpoint_seconds=1000")
        limit = ("hydra.launcher.timeout_min=1", "hydra.launcher.signal_delay_s=10")
        swept = fresh_app(*SLURM, *arguments, *limit, "paths.cache=null", f"paths.runs={runs}", process=True)
        assert swept.status == 0, swept.err
        job = re.search(r"SLURM job (\d+):", swept.out)
        assert job is not None
        if _restarts(job[1]) >= 1:
            break
    else:
        pytest.fail(f"{epochs} epochs were done before the time limit")
    undisturbed = fresh_app(*arguments, "paths.runs=undisturbed")
    disturbed = _results(fresh_app.directory / runs)["pr"]
    assert disturbed["final"] == undisturbed.metrics["final"]
    (curves,) = (fresh_app.directory / runs).glob("*/pr/*/metrics.csv")
    with curves.open() as file:
        assert [row["epoch"] for row in csv.DictReader(file)] == [str(k) for k in range(epochs)]


def _restarts(job: str) -> int:
    shown = subprocess.run(["scontrol", "show", "job", job], capture_output=True, text=True, check=True).stdout
    found = re.search(r"Restarts=(\d+)", shown)
    assert found is not None
    return int(found[1])
