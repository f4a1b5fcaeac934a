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
from mavrl.storage.files import storage_error
from mavrl.sweep.launchers.isolation import fresh_log, isolated, output_to
from mavrl.sweep.launchers.jobs import JobLines, error_of, failed_job
from mavrl.workers import cores, end_with_parent

_WORKERS = optional(whole(1, 1024))


class LocalLauncher(Launcher):
    """Runs jobs in worker processes, which stay for later launches, so that each imports its libraries once.

    A job that raises, or whose worker dies, is a failed one; the others are not concerned. Workers end with this
    process, however it ends. What jobs print goes to `<hydra.sweep.dir>/.logs/<number>.log`.

    Args:
        workers: processes; None for as many as this process may use cores.

    Raises:
        ConfigurationError: `workers` is not a number from 1 to 1024.
    """

    def __init__(self, workers: int | None = None) -> None:
        if not _WORKERS.holds(workers):
            raise ConfigurationError("hydra.launcher.workers", workers, _WORKERS.allowed)
        self.workers = workers or cores()
        self.config: DictConfig | None = None
        self._shared: tuple[Any, ...] = ()
        self._slots: list[_Slot] = []

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self.config = config
        self._shared = (hydra_context, task_function, config)

    def prepare(self, jobs: int) -> None:
        """Start the workers that so many jobs will need, which then import what a run needs."""
        self._open()
        for slot in self._slots[:jobs]:
            slot.submit(_import_libraries)

    def _open(self) -> None:
        import cloudpickle  # Hydra keeps the task's function of run.py where pickle cannot find it

        if not self._slots:
            shared = cloudpickle.dumps((*self._shared, Singleton.get_state(), max(1, cores() // self.workers)))
            self._slots = [_Slot(shared) for _ in range(self.workers)]

    def launch(
        self,
        job_overrides: Sequence[Sequence[str]],
        initial_job_idx: int,
        configs: Sequence[DictConfig] | None = None,
    ) -> Sequence[JobReturn]:
        """Run the jobs; returns what each returned, in their order.

        Args:
            configs: of the jobs, where they have been composed already.

        Raises:
            StorageError: the logs cannot be written.
        """
        setup_globals()
        assert self.config is not None
        logs = Path(str(self.config.hydra.sweep.dir)) / ".logs"
        self._open()
        lines = JobLines(job_overrides)
        waiting, idle = deque(enumerate(job_overrides)), list(self._slots)
        running: dict[Future[JobReturn], tuple[_Slot, int, Path, float]] = {}
        ended: dict[int, JobReturn] = {}
        try:
            while waiting or running:
                while waiting and idle:
                    index, overrides = waiting.popleft()
                    slot, log = idle.pop(), fresh_log(logs, initial_job_idx + index)
                    config = None if configs is None else configs[index]
                    future = slot.submit(_run, list(overrides), initial_job_idx + index, log, config)
                    running[future] = slot, index, log, time.monotonic()
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    slot, index, log, begun = running.pop(future)
                    job = ended[index] = slot.outcome(future, job_overrides[index])
                    lines.ended(index, job, f"{time.monotonic() - begun:.1f} s", str(log))
                    idle.append(slot)
        except OSError as error:
            self.close()
            raise storage_error(logs, error) from error
        except BaseException:
            self.close()
            raise
        return [ended[index] for index in range(len(job_overrides))]

    def close(self) -> None:
        """End the workers, and with them the jobs that they are at."""
        for slot in self._slots:
            slot.end()
        self._slots = []


class _Slot:
    """Of one worker process, started when first needed and again after it has died."""

    def __init__(self, shared: bytes) -> None:
        self._shared = shared
        self._pool: ProcessPoolExecutor | None = None
        self._process: Any = None

    def submit(self, function: Callable[..., Any], *arguments: Any) -> "Future[Any]":
        if self._pool is not None:
            try:
                return self._pool.submit(function, *arguments)
            except BrokenProcessPool:  # it died while it had no job
                self.end()
        before = set(multiprocessing.active_children())
        self._pool = ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), _begin, (self._shared,))
        future = self._pool.submit(function, *arguments)
        (self._process,) = set(multiprocessing.active_children()) - before
        return future

    def outcome(self, future: "Future[JobReturn]", overrides: Sequence[str]) -> JobReturn:
        """What the job returned; a failed one when it could not."""
        try:
            return future.result()
        except BrokenProcessPool:
            return failed_job(overrides, JobError(f"its worker process {self.end()}"))
        except Exception as error:
            return failed_job(overrides, error)

    def end(self) -> str:
        """End the process; returns how it ended."""
        if self._pool is None:
            return "has not begun"
        self._process.kill()
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._pool = None
        status = self._process.exitcode
        return f"was killed by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"


_shared: bytes = b""


def _begin(shared: bytes) -> None:
    """Make a worker of this process."""
    global _shared
    _shared = shared
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes; the launcher ends its workers
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
