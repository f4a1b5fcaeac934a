"""Several searches that share their studies: as processes here, or as jobs of a launcher."""

import multiprocessing
import runpy
import signal
import sys
import uuid
from collections.abc import Sequence
from multiprocessing.process import BaseProcess
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from hydra.plugins.launcher import Launcher
from omegaconf import DictConfig

from mavrl.errors import MavrlError
from mavrl.interruption import signals_blocked
from mavrl.storage.files import read_json, write_json
from mavrl.sweep.launchers.jobs import failure_of
from mavrl.workers import cores, end_with_parent

_ALONE = ["search.workers=1", "search.batch=1", "hydra/launcher=basic", "progress=false"]
_MOST_ROUNDS = 20  # of starting workers again after some have died


def run_searches(launcher: Launcher, config: DictConfig, arguments: list[str]) -> None:
    """Start `search.workers` searches of the same command, one trial at a time each, and wait for them.

    Workers that die are started again: the others, or they, take over the trials that are left.

    Args:
        launcher: runs the searches, unless it is Hydra's basic one; then they are processes here.
        config: the configuration of the command.
        arguments: overrides of the command, Hydra's own excepted.

    Raises:
        MavrlError: a search ended with an error, or workers died over and over.
    """
    hydra = [o for o in HydraConfig.get().overrides.hydra if not o.startswith(("hydra.launcher", "hydra/launcher"))]
    command = [*arguments, *(o for o in hydra if not o.startswith("hydra.mode")), *_ALONE]
    count = config.search.workers
    here = config.hydra.runtime.choices["hydra/launcher"] == "basic"  # which runs its jobs one after the other
    if config.processes is None and here:
        command.append(f"processes={max(1, cores() // count)}")
    for _ in range(_MOST_ROUNDS):
        if here:
            errors = _run_as_processes(count, command)
        else:
            errors = _run_as_jobs(launcher, Path(config.hydra.sweep.dir), count, command)
        reported = [error for error in errors if error is not None and not error.startswith("died")]
        if reported:
            raise MavrlError(reported[0])
        if not any(errors):
            return
        print(f"{sum(map(bool, errors))} of {count} workers died; starting again", flush=True)
    raise MavrlError(f"workers died {_MOST_ROUNDS} times; the same command goes on with the study")


def _run_as_processes(count: int, command: list[str]) -> list[str | None]:
    """Why each of the processes failed; None for those that did not."""
    context = multiprocessing.get_context("spawn")
    searches = [context.Process(target=_search, args=(command,)) for _ in range(count)]
    try:
        with signals_blocked(signal.SIGINT):  # Ctrl-C reaches all processes; this one ends the others
            for search in searches:
                search.start()
        for search in searches:
            search.join()
    finally:
        _end(searches)
    return [_failure(search.exitcode) for search in searches]


def _end(searches: Sequence[BaseProcess]) -> None:
    """End the processes that still search."""
    alive = [search for search in searches if search.is_alive()]
    for search in alive:
        search.terminate()
    for search in alive:
        search.join()


def _run_as_jobs(launcher: Launcher, folder: Path, count: int, command: list[str]) -> list[str | None]:
    """Why each of the jobs failed, which read the command from a file; None for those that did not."""
    path = folder / ".workers" / f"{uuid.uuid4().hex[:8]}.json"
    write_json(path, {"command": command})
    job = ["task=search_worker", f"task.command={path.resolve()}", f"hydra.sweep.dir={folder}"]
    results = launcher.launch([[*job, f"task.worker={k}"] for k in range(count)], initial_job_idx=0)
    return [None if (error := failure_of(result)) is None else f"died: {error}" for result in results]


def _failure(status: int | None) -> str | None:
    if status == 0:
        return None
    if status is None or status < 0:
        return f"died with signal {-(status or 0)}"
    if status > 128:  # see Interruption
        return f"died with signal {status - 128}"
    return f"a worker ended with status {status}"


def _search(command: list[str]) -> None:
    """Do in this process what the command line would do."""
    end_with_parent()
    sys.argv[1:] = ["-m", *command]
    runpy.run_module("mavrl", run_name="__main__")


def search_worker(config: DictConfig) -> None:
    """The task of a job that is one of several searches: the search, in a process of its own.

    Raises:
        MavrlError: the search ended with an error, or its process died.
    """
    content = read_json(Path(config.task.command))
    if content is None:
        raise MavrlError(f"{config.task.command}: no such command of a search")
    context = multiprocessing.get_context("spawn")
    search = context.Process(target=_search, args=(content["command"],))
    search.start()
    try:
        search.join()
    finally:
        _end([search])
    if why := _failure(search.exitcode):
        raise MavrlError(why)
