"""Jobs as an array of a SLURM cluster, through submitit: `hydra/launcher=euler`."""

import contextlib
import io
import os
import shlex
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn, JobStatus
from hydra_plugins.hydra_submitit_launcher import submitit_launcher
from hydra_plugins.hydra_submitit_launcher.config import BaseQueueConf
from omegaconf import OmegaConf

import mavrl
from mavrl.configuration.check import register_with_hydra
from mavrl.errors import ConfigurationError, JobError
from mavrl.progress import Wanted
from mavrl.storage.files import naming, write_text
from mavrl.sweep.launchers.jobs import error_of, failed_job, job_lines
from mavrl.sweep.launchers.queue import Queue
from mavrl.terminal import show_on_any_terminal

_EXECUTOR_PARAMS = ("submitit_folder", "max_num_timeout", "python")  # the others are resources of a job
_INTERVAL = 1.0  # seconds between two looks for results


class SlurmLauncher(submitit_launcher.SlurmLauncher):
    """Submits the jobs of a launch as one array, and waits for their results.

    A job that is near its time limit is queued again and goes on from its checkpoint. One that dies, is cancelled or
    runs out of time for good is a failed one; the others are not concerned. The jobs go on when this process ends.

    Args:
        params: the keys of conf/hydra/launcher/euler.yaml. Those that are null are left to the cluster.

    Raises:
        ConfigurationError: a value that submitit needs is missing.
    """

    progress: Wanted = False

    def __init__(self, **params: Any) -> None:
        super().__init__(**{name: value for name, value in params.items() if value is not None})
        minutes = self.params.get("timeout_min")
        if not isinstance(minutes, int) or minutes < 1:
            raise ConfigurationError("hydra.launcher.timeout_min", minutes, "must be a whole number of at least 1")

    def __call__(self, *arguments: Any, **named: Any) -> JobReturn:
        """Run one job, in a process of the cluster."""
        show_on_any_terminal()
        register_with_hydra()
        return super().__call__(*arguments, **named)

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Run jobs, and wait for them.

        Args:
            job_overrides: overrides of each job.
            initial_job_idx: number of the first job.

        Returns:
            What each job returned, in their order.

        Raises:
            ConfigurationError: there is no SLURM, or it refuses the jobs.
        """
        jobs = self._submit(job_overrides, initial_job_idx)
        number = jobs[0].job_id.partition("_")[0]
        print(f"SLURM job {number}: {len(jobs)} submitted, their logs are in {self._folder(number)}*", flush=True)
        try:
            return self._results(jobs, job_overrides)
        except (KeyboardInterrupt, SystemExit):
            print(f"the jobs go on; `scancel {number}` ends them, the same command waits for them", file=sys.stderr)
            raise

    def _submit(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> list[Any]:
        from submitit.core.utils import FailedJobError, FailedSubmissionError

        assert self.config is not None
        if shutil.which("sbatch") is None:
            allowed = "needs SLURM's sbatch and srun, which are not on PATH; hydra/launcher=local runs jobs here"
            raise ConfigurationError("hydra.launcher._target_", "mavrl.sweep.launchers.slurm.SlurmLauncher", allowed)
        Path(str(self.config.hydra.sweep.dir)).mkdir(parents=True, exist_ok=True)
        executor = self._executor(self.params["submitit_folder"])
        state = Singleton.get_state()
        calls = [
            (list(overrides), "hydra.sweep.dir", initial_job_idx + k, str(initial_job_idx + k), state)
            for k, overrides in enumerate(job_overrides)
        ]
        try:
            with contextlib.redirect_stderr(io.StringIO()), naming(self.params["submitit_folder"]):  # it prints errors
                return executor.map_array(self, *zip(*calls, strict=True))
        except (FailedJobError, FailedSubmissionError) as error:
            option = self.config.hydra.runtime.choices["hydra/launcher"]
            why = "; ".join(line.removeprefix("sbatch: error: ") for line in str(error).splitlines() if line.strip())
            raise ConfigurationError("hydra/launcher", option, f"SLURM refuses the jobs: {why}") from error

    def write_submission(self, jobs: int) -> Path:
        """Write the file that a launch of so many jobs would hand to sbatch, and return its path. Nothing is submitted.

        submitit writes such a file only when it submits it: here to a command that keeps it.
        """
        assert self.config is not None
        target = Path(str(self.config.hydra.sweep.dir)) / ".submitit" / "dry_run.sh"
        with tempfile.TemporaryDirectory() as place:
            kept, commands = Path(place, "kept.sh"), Path(place, "bin")
            commands.mkdir()
            for name, line in (("sbatch", f'cp "$1" {kept}; echo Submitted batch job 0'), ("srun", "true")):
                (commands / name).write_text(f"#!/bin/sh\n{line}\n")
                (commands / name).chmod(0o755)
            path = os.environ["PATH"]
            os.environ["PATH"] = f"{commands}{os.pathsep}{path}"
            try:
                folder = Path(self.params["submitit_folder"]).absolute()
                self._executor(f"{place}{folder}").map_array(abs, range(jobs))
            finally:
                os.environ["PATH"] = path
            write_text(target, kept.read_text(encoding="utf-8").replace(place, ""))
        return target

    def _executor(self, folder: str) -> Any:
        import submitit

        limits = {f"slurm_{name}": self.params[name] for name in _EXECUTOR_PARAMS[1:] if name in self.params}
        executor = submitit.AutoExecutor(folder, cluster="slurm", **limits)
        executor.update_parameters(**self._resources())
        return executor

    def _resources(self) -> dict[str, Any]:
        """The resources of a job, under the names that submitit uses."""
        common = set(OmegaConf.structured(BaseQueueConf).keys())
        params = {name: value for name, value in self.params.items() if name not in _EXECUTOR_PARAMS}
        if "cpus_per_task" in params:  # srun does not take it from sbatch
            params["srun_args"] = [f"--cpus-per-task={params['cpus_per_task']}", *params.get("srun_args", [])]
        package = shlex.quote(str(Path(mavrl.__file__).parents[1]))  # jobs run the code that submits them
        params["setup"] = [*params.get("setup", []), f"export PYTHONPATH={package}${{PYTHONPATH:+:$PYTHONPATH}}"]
        return {name if name in common else f"slurm_{name}": value for name, value in params.items()}

    def _folder(self, number: str) -> str:
        return str(self.params["submitit_folder"]).replace("%j", number)

    def _results(self, jobs: Sequence[Any], job_overrides: Sequence[Sequence[str]]) -> list[JobReturn]:
        queue = Queue([job.job_id for job in jobs])
        results: dict[int, JobReturn] = {}
        with job_lines(job_overrides, self.progress) as lines:
            while len(results) < len(jobs):
                for index, job in enumerate(jobs):
                    if index in results:
                        continue
                    log = str(job.paths.stdout)
                    if _has_result(job):
                        result = _result(job, job_overrides[index], log)
                    elif state := queue.final_state(job.job_id):
                        text = f"SLURM job {job.job_id} ended without a result, state {state}; log {log}"
                        result = failed_job(job_overrides[index], JobError(text))
                    else:
                        continue
                    results[index] = result
                    lines.print_end(index, result, f"SLURM job {job.job_id}", log)
                if len(results) < len(jobs):
                    time.sleep(_INTERVAL)
        return [results[index] for index in range(len(jobs))]


def _has_result(job: Any) -> bool:
    """Whether a job has left a result. Its directory is listed: network file systems remember what was absent."""
    try:
        return job.paths.result_pickle.name in os.listdir(job.paths.folder)
    except OSError:
        return False


def _result(job: Any, overrides: Sequence[str], log: str) -> JobReturn:
    """What a job returned. Errors of submitit become the job's own."""
    from submitit.core.utils import UncompletedJobError

    try:
        result = job.results()[0]
    except Exception as error:
        return failed_job(overrides, JobError(f"SLURM job {job.job_id} failed: {_last_line(error)}; log {log}"))
    if result.status == JobStatus.FAILED and isinstance(error := error_of(result), UncompletedJobError):
        result = failed_job(overrides, JobError(f"SLURM job {job.job_id}, state TIMEOUT: {error}; log {log}"))
    return result


def _last_line(error: Exception) -> str:
    """The last line of the traceback that submitit puts between lines of dashes."""
    lines = [line for line in str(error).splitlines() if line.strip()]
    dashes = [k for k, line in enumerate(lines) if set(line.strip()) == {"-"}]
    return lines[dashes[-1] - 1].strip() if dashes and dashes[-1] > 0 else f"{type(error).__name__}: {error}"
