"""Worker processes of one run: started when first needed, one thread each, ended with the run."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing.process import BaseProcess
from typing import Any, TypeVar

from mavrl.interruption import signals_blocked
from mavrl.progress import count_in, shared_ticks

Result = TypeVar("Result")

# Terminals, schedulers and operators signal all processes of a job: the run answers, and ends its workers.
_ANSWERED_BY_THE_RUN = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR2)


class Workers:
    """Runs functions in parallel processes, or in this one when there is only one.

    Functions and arguments are pickled, so functions are those of a module. A worker that dies ends the run with an
    error; it never leaves it waiting. Nor does a worker go on when the run is killed.

    Args:
        count: processes.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self._pool: ProcessPoolExecutor | None = None
        self._processes: set[BaseProcess] = set()

    def submit(self, function: Callable[..., Result], *arguments: Any) -> "Future[Result]":
        """Start a call. With one process it runs here and now."""
        if self.count == 1:
            done: Future[Result] = Future()
            done.set_result(function(*arguments))
            return done
        before = set(multiprocessing.active_children())
        if self._pool is None:  # outside of the block: the first one in a process lets SIGINT and SIGTERM in again
            context = multiprocessing.get_context("spawn")  # a fork of a process with threads may hang
            self._pool = ProcessPoolExecutor(self.count, context, _begin, (shared_ticks(context),))
        with signals_blocked(*_ANSWERED_BY_THE_RUN):  # the processes that are started in here keep them blocked
            future = self._pool.submit(function, *arguments)
            self._processes |= set(multiprocessing.active_children()) - before
        return future

    def map(self, function: Callable[..., Result], calls: Sequence[tuple[Any, ...]]) -> list[Result]:
        """The results of all calls, in their order. A single call runs in this process."""
        if len(calls) == 1:
            return [function(*calls[0])]
        futures = [self.submit(function, *arguments) for arguments in calls]
        return [future.result() for future in futures]

    def close(self) -> None:
        """End the processes; calls that have not begun are dropped, and those under way end first."""
        if self._pool is None:
            return
        try:
            self._pool.shutdown(wait=True, cancel_futures=True)
        except BaseException:
            self.kill()
            raise
        self._pool, self._processes = None, set()

    def kill(self) -> None:
        """End the processes in the middle of what they do."""
        for process in self._processes:
            process.kill()
        self._processes = set()


@contextmanager
def workers(count: int | None) -> Iterator[Workers]:
    """Workers that end with the block, at once when a signal asks this process to end.

    Args:
        count: processes; None for as many as this process may use cores.
    """
    pool = Workers(count or cores())
    try:
        yield pool
    except (KeyboardInterrupt, SystemExit):
        pool.kill()
        raise
    finally:
        pool.close()


def _begin(ticks: Any) -> None:
    end_with_parent()
    count_in(ticks)
    os.environ["OMP_NUM_THREADS"] = "1"
    import torch

    torch.set_num_threads(1)


def end_with_parent() -> None:
    """End this process as soon as the one that started it has ended, however that ended.

    The pipes between them stay open when the parent is killed, so nothing else would end this one.
    """
    threading.Thread(target=_end_after, args=(multiprocessing.parent_process(),), daemon=True).start()


def _end_after(parent: Any) -> None:
    if parent is not None:
        parent.join()
        os._exit(1)


def cores() -> int:
    """How many cores this process may use: SLURM may grant fewer than it shows."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    granted = os.environ.get("SLURM_CPUS_PER_TASK") or os.environ.get("SLURM_CPUS_ON_NODE")
    return min(usable, int(granted)) if granted else usable
