"""Jobs in worker processes of this machine: `hydra/launcher=local`."""

import multiprocessing
import os
import signal
import time
import traceback
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn, JobStatus, run_job, setup_globals
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, open_dict

from mavrl.configuration.check import register_with_hydra
from mavrl.configuration.rule import optional, whole
from mavrl.errors import ConfigurationError, JobError
from mavrl.interruption import signals_blocked
from mavrl.progress import Wanted
from mavrl.storage.files import storage_error
from mavrl.sweep.launchers.isolation import fresh_log, isolated, output_to
from mavrl.sweep.launchers.jobs import error_of, failed_job, job_lines
from mavrl.terminal import show_on_any_terminal
from mavrl.workers import cores, end_with_parent

_WORKER_COUNT = optional(whole(1, 1024))


class LocalLauncher(Launcher):
    """Runs jobs in worker processes, which stay for later launches, so that each imports its libraries once.

    A job that raises, or whose worker dies, is a failed one; the others are not concerned. Workers end with this
    process, however it ends. What jobs print goes to `<hydra.sweep.dir>/.logs/<number>.log`.

    Args:
        workers: number of processes; None for as many as this process may use cores.

    Raises:
        ConfigurationError: `workers` is not a number from 1 to 1024.
    """

    progress: Wanted = False

    def __init__(self, workers: int | None = None) -> None:
        if not _WORKER_COUNT.holds(workers):
            raise ConfigurationError("hydra.launcher.workers", workers, _WORKER_COUNT.allowed)
        self.workers = workers or cores()
        self.config: DictConfig | None = None
        self._shared: tuple[Any, ...] = ()
        self._processes: list[_WorkerProcess] = []

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self.config = config
        self._shared = (hydra_context, task_function, config)

    def prepare(self, jobs: int) -> None:
        """Start workers, which then import what a run needs.

        Args:
            jobs: number of jobs that will be launched; more workers than that are not started.
        """
        self._open()
        for worker in self._processes[:jobs]:
            worker.submit(_import_libraries)

    def _open(self) -> None:
        import cloudpickle  # Hydra keeps the task's function of run.py where pickle cannot find it

        if not self._processes:
            shared = cloudpickle.dumps((*self._shared, Singleton.get_state(), max(1, cores() // self.workers)))
            self._processes = [_WorkerProcess(shared) for _ in range(self.workers)]

    def launch(
        self,
        job_overrides: Sequence[Sequence[str]],
        initial_job_idx: int,
        configs: Sequence[DictConfig] | None = None,
    ) -> Sequence[JobReturn]:
        """Run jobs, and wait for them.

        Args:
            job_overrides: overrides of each job.
            initial_job_idx: number of the first job.
            configs: configurations of the jobs, where they have been composed already.

        Returns:
            What each job returned, in their order.

        Raises:
            StorageError: the logs cannot be written.
        """
        setup_globals()
        assert self.config is not None
        logs = Path(str(self.config.hydra.sweep.dir)) / ".logs"
        self._open()
        waiting, idle = deque(enumerate(job_overrides)), list(self._processes)
        running: dict[Future[JobReturn], tuple[_WorkerProcess, int, Path, float]] = {}
        ended: dict[int, JobReturn] = {}
        try:
            with job_lines(job_overrides, self.progress) as lines:
                while waiting or running:
                    while waiting and idle:
                        index, overrides = waiting.popleft()
                        worker, log = idle.pop(), fresh_log(logs, initial_job_idx + index)
                        config = None if configs is None else configs[index]
                        future = worker.submit(_run, list(overrides), initial_job_idx + index, log, config)
                        running[future] = worker, index, log, time.monotonic()
                    for future in wait(running, return_when=FIRST_COMPLETED).done:
                        worker, index, log, begun = running.pop(future)
                        job = ended[index] = worker.outcome(future, job_overrides[index])
                        lines.print_end(index, job, f"{time.monotonic() - begun:.1f} s", str(log))
                        idle.append(worker)
        except OSError as error:
            self.close()
            raise storage_error(logs, error) from error
        except BaseException:
            self.close()
            raise
        return [ended[index] for index in range(len(job_overrides))]

    def close(self) -> None:
        """End the workers, and with them the jobs that they are at."""
        for worker in self._processes:
            worker.end()
        self._processes = []


class _WorkerProcess:
    """One worker process, started when first needed and again after it has died.

    Args:
        shared: what all jobs need, pickled: see `LocalLauncher._open`.
    """

    def __init__(self, shared: bytes) -> None:
        self._shared = shared
        self._pool: ProcessPoolExecutor | None = None
        self._process: BaseProcess | None = None

    def submit(self, function: Callable[..., Any], *arguments: Any) -> "Future[Any]":
        """Start a call in the process."""
        if self._pool is not None:
            try:
                return self._pool.submit(function, *arguments)
            except BrokenProcessPool:  # it died while it had no job
                self.end()
        before = set(multiprocessing.active_children())
        with signals_blocked(signal.SIGINT):  # Ctrl-C reaches all processes; the launcher ends its workers
            self._pool = ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), _begin, (self._shared,))
            future = self._pool.submit(function, *arguments)
        (self._process,) = set(multiprocessing.active_children()) - before
        return future

    def outcome(self, future: "Future[JobReturn]", overrides: Sequence[str]) -> JobReturn:
        """What a job returned; a failed result when its process died or the result could not be sent."""
        try:
            return future.result()
        except BrokenProcessPool:
            return failed_job(overrides, JobError(f"its worker process {self.end()}"))
        except Exception as error:
            return failed_job(overrides, error)

    def end(self) -> str:
        """End the process, and say in words how it ended."""
        if self._pool is None or self._process is None:
            return "has not begun"
        self._process.kill()
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._pool = None
        status = self._process.exitcode or 0
        return f"was killed by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"


_shared: bytes = b""


def _begin(shared: bytes) -> None:
    """Make a worker of this process."""
    global _shared
    _shared = shared
    show_on_any_terminal()
    end_with_parent()
    register_with_hydra()


def _import_libraries() -> None:
    import lightning  # noqa: F401 -- and torch with it: seconds

    import mavrl.training.fitting  # noqa: F401


def _run(overrides: list[str], number: int, log: Path, composed: DictConfig | None) -> JobReturn:
    """Run one job in a worker, as Hydra's own launcher does."""
    import cloudpickle

    # Unpickled for each job, so that no job changes what the next one gets.
    context, task_function, config, singletons, share = cloudpickle.loads(_shared)
    with isolated(), output_to(log):
        os.environ["OMP_NUM_THREADS"] = str(share)
        Singleton.set_state(singletons)
        setup_globals()
        try:
            job_config = composed
            if job_config is None:
                job_config = context.config_loader.load_sweep_config(config, overrides)
            _share_cores(job_config, share)
            with open_dict(job_config):
                job_config.hydra.job.id = str(number)
                job_config.hydra.job.num = number
            job = run_job(
                hydra_context=context,
                task_function=task_function,
                config=job_config,
                job_dir_key="hydra.sweep.dir",
                job_subdir_key="hydra.sweep.subdir",
            )
        except SystemExit as error:
            job = failed_job(overrides, JobError(f"the job called sys.exit({error.code!r})"))
        except Exception as error:
            job = failed_job(overrides, error)
        if job.status == JobStatus.FAILED:
            error = error_of(job)
            traceback.print_exception(type(error), error, error.__traceback__)
        return job


def _share_cores(config: DictConfig, share: int) -> None:
    """Several jobs run at once: one that says nothing else gets its share of the cores, not all of them."""
    for key in ("processes", "threads"):
        if key in config and config[key] is None:
            config[key] = share
