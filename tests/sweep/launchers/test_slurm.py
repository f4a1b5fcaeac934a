"""What is submitted to SLURM, and what becomes of jobs; the cluster itself is in tests/integration."""

import os
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.utils import JobReturn, JobStatus
from omegaconf import OmegaConf

import mavrl
from mavrl.configuration.check import register_with_hydra
from mavrl.errors import ConfigurationError, JobError
from mavrl.sweep.launchers import slurm
from mavrl.sweep.launchers.jobs import error_of, failed_job
from mavrl.sweep.launchers.slurm import SlurmLauncher

CONF = Path(__file__).parents[3] / "conf"
JOBS = [["seed=0"], ["seed=1"]]


def _params(*overrides: str) -> dict[str, Any]:
    register_with_hydra()
    with initialize_config_dir(str(CONF)):
        config = compose("config", ["hydra/launcher=euler", *overrides], return_hydra_config=True)
        params: Any = OmegaConf.to_container(config.hydra.launcher, resolve=True)
    del params["_target_"]
    return params


@pytest.fixture
def submitted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., str]]:
    """The batch script of three jobs, which an sbatch that runs nothing has got."""
    (tmp_path / "bin").mkdir()
    for name, command in (("sbatch", f'cp "$1" {tmp_path}/script; echo Submitted batch job 12'), ("srun", "true")):
        (tmp_path / "bin" / name).write_text(f"#!/bin/sh\n{command}\n")
        (tmp_path / "bin" / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    monkeypatch.setattr(SlurmLauncher, "_results", lambda *_: [])

    def submit(*overrides: str) -> str:
        launcher = SlurmLauncher(**_params(f"hydra.launcher.submitit_folder={tmp_path}/jobs/%j", *overrides))
        launcher.config = OmegaConf.create({"hydra": {"sweep": {"dir": str(tmp_path)}}})
        OmegaConf.clear_resolvers()  # those of mavrl carry shape checks in tests, which cannot be sent to a job
        launcher.launch([["seed=0"], ["seed=1"], ["seed=2"]], 0)
        return (tmp_path / "script").read_text()

    yield submit
    register_with_hydra()


def test_what_is_null_is_left_to_the_cluster(submitted: Callable[..., str]) -> None:
    script = submitted()
    flags = {line.removeprefix("#SBATCH --").partition("=")[0] for line in script.splitlines() if "#SBATCH" in line}
    assert not flags & {"partition", "account", "mem", "qos", "constraint", "exclude", "gres", "comment"}
    assert {"time", "cpus-per-task", "mem-per-cpu", "array", "signal"} <= flags
    assert "None" not in script


def test_what_is_given_is_asked_for(submitted: Callable[..., str]) -> None:
    script = submitted(
        "hydra.launcher.partition=local", "hydra.launcher.account=lab", "hydra.launcher.timeout_min=7",
        "hydra.launcher.cpus_per_task=3", "hydra.launcher.signal_delay_s=33", "hydra.launcher.array_parallelism=2",
        "+hydra.launcher.additional_parameters.mail-type=END",
    )  # fmt: skip
    for line in ("partition=local", "account=lab", "time=7", "signal=USR2@33", "array=0-2%2", "mail-type=END"):
        assert f"#SBATCH --{line}\n" in script
    assert "#SBATCH --cpus-per-task=3\n" in script
    assert " --cpus-per-task=3 " in next(line for line in script.splitlines() if line.startswith("srun"))


def test_modules_come_before_python_and_the_code_is_that_of_the_launcher(submitted: Callable[..., str]) -> None:
    lines = submitted().splitlines()
    package = Path(mavrl.__file__).parents[1]
    load, path, python = (
        next(k for k, line in enumerate(lines) if line.startswith(start))
        for start in ("module load", f"export PYTHONPATH={package}${{PYTHONPATH", "srun")
    )
    assert load < path < python
    assert 'if [ -n "$VIRTUAL_ENV" ]; then . "$VIRTUAL_ENV/bin/activate"; fi' in lines
    assert "module load" not in submitted("hydra.launcher.setup=[]")


def test_a_dry_run_writes_the_file_that_would_be_submitted(
    submitted: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    partition = "hydra.launcher.partition=local"
    expected = submitted(partition)
    monkeypatch.setenv("PATH", "/usr/bin:/bin")  # no SLURM is needed
    params = _params(f"hydra.launcher.submitit_folder={tmp_path}/jobs/%j", partition)
    launcher = SlurmLauncher(**params)
    launcher.config = OmegaConf.create({"hydra": {"sweep": {"dir": str(tmp_path / "sweep")}}})
    path = launcher.write_submission(3)
    assert path == tmp_path / "sweep" / ".submitit" / "dry_run.sh"
    assert path.read_text() == expected
    assert os.environ["PATH"] == "/usr/bin:/bin"
    assert [p.name for p in (tmp_path / "sweep").iterdir()] == [".submitit"]


@pytest.mark.parametrize("minutes", ["null", "0", "soon"])
def test_a_job_needs_a_time_limit(minutes: str) -> None:
    with pytest.raises(ConfigurationError, match=r"hydra\.launcher\.timeout_min="):
        SlurmLauncher(**_params(f"hydra.launcher.timeout_min={minutes}"))


def test_without_slurm_there_is_one_clear_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    launcher = SlurmLauncher(**_params())
    launcher.config = OmegaConf.create({"hydra": {"sweep": {"dir": str(tmp_path)}}})
    with pytest.raises(ConfigurationError, match=r"needs SLURM's sbatch.*hydra/launcher=local"):
        launcher.launch(JOBS, 0)


class _Job:
    """A job of submitit that has ended in some way."""

    def __init__(self, folder: Path, number: int, result: Any = None) -> None:
        from submitit.core.utils import JobPaths

        self.job_id = f"7_{number}"
        self.paths = JobPaths(folder / "%j", self.job_id, 0)
        self._result = result
        self.paths.folder.mkdir(parents=True)
        if result is not None:
            self.paths.result_pickle.write_bytes(pickle.dumps("there"))

    def results(self) -> list[Any]:
        if isinstance(self._result, Exception):
            raise self._result
        return [self._result]


class _Queue:
    def __init__(self, ids: list[str]) -> None:
        pass

    def final_state(self, job_id: str) -> str | None:
        return {"7_0": "CANCELLED", "7_1": "NODE_FAIL"}.get(job_id)


def _completed(value: float) -> JobReturn:
    job = JobReturn(status=JobStatus.COMPLETED)
    job.return_value = value
    return job


@pytest.fixture
def launcher(monkeypatch: pytest.MonkeyPatch) -> SlurmLauncher:
    monkeypatch.setattr(slurm, "Queue", _Queue)
    return SlurmLauncher(**_params())


def test_jobs_without_a_result_fail_alone(
    launcher: SlurmLauncher, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    jobs = [_Job(tmp_path, 0), _Job(tmp_path, 1, _completed(3.0))]
    cancelled, kept = launcher._results(jobs, JOBS)
    log = tmp_path / "7_0" / "7_0_0_log.out"
    assert cancelled.status == JobStatus.FAILED
    assert isinstance(error_of(cancelled), JobError)
    assert str(error_of(cancelled)) == f"SLURM job 7_0 ended without a result, state CANCELLED; log {log}"
    assert kept.return_value == 3.0
    out = capsys.readouterr().out.splitlines()
    assert out[0] == f"[1/2] failed seed=0: {error_of(cancelled)}"
    assert out[1] == "[2/2] completed seed=1: 3.0 (SLURM job 7_1)"


def test_errors_of_a_job_are_its_own(launcher: SlurmLauncher, tmp_path: Path) -> None:
    jobs = [_Job(tmp_path, k, failed_job(JOBS[k], ConfigurationError("seed", k, "bad"))) for k in range(2)]
    first, second = launcher._results(jobs, JOBS)
    assert [str(error_of(job)) for job in (first, second)] == ["seed=0: bad", "seed=1: bad"]


def test_errors_of_submitit_name_the_job(launcher: SlurmLauncher, tmp_path: Path) -> None:
    from submitit.core.utils import FailedJobError, UncompletedJobError

    trace = "Job (task=0) failed during processing with trace:\n---\nTraceback\n  line\nKeyError: 'x'\n\n---\nmore"
    timed_out = failed_job(JOBS[1], UncompletedJobError("Job not requeued because: timed-out too many times."))
    jobs = [_Job(tmp_path, 0, FailedJobError(trace)), _Job(tmp_path, 1, timed_out)]
    broken, late = (str(error_of(job)) for job in launcher._results(jobs, JOBS))
    assert broken.startswith("SLURM job 7_0 failed: KeyError: 'x'; log ")
    assert late.startswith("SLURM job 7_1, state TIMEOUT: Job not requeued because: timed-out too many times.; log ")
