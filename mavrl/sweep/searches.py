"""Several searches that share their studies: as processes here, or as jobs of a launcher."""

import multiprocessing
import runpy
import sys
import uuid
from pathlib import Path
from typing import Any

from hydra._internal.core_plugins.basic_launcher import BasicLauncher
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from mavrl.errors import MavrlError
from mavrl.storage.files import read_json, write_json
from mavrl.sweep.launchers.jobs import failure_of
from mavrl.workers import cores, end_with_parent

_ALONE = ["search.workers=1", "hydra.sweeper.n_jobs=1", "hydra/launcher=basic"]
_MOST_ROUNDS = 20  # of starting workers again after some have died


def run_searches(launcher: Any, config: DictConfig, arguments: list[str]) -> None:
    """Start `search.workers` searches of the same command, one trial at a time each, and wait for them.

    Workers that die are started again: the others, or they, take over the trials that are left.

    Raises:
        MavrlError: a search ended with an error, or workers died over and over.
    """
    hydra = [o for o in HydraConfig.get().overrides.hydra if not o.startswith(("hydra.launcher", "hydra/launcher"))]
    command = [*arguments, *(o for o in hydra if not o.startswith(("hydra.mode", "hydra.sweeper.n_jobs"))), *_ALONE]
    count = config.search.workers
    if config.processes is None and isinstance(launcher, BasicLauncher):
        command.append(f"processes={max(1, cores() // count)}")
    for _ in range(_MOST_ROUNDS):
        if isinstance(launcher, BasicLauncher):
            errors = _run_here(count, command)
        else:
            errors = _launch(launcher, Path(config.hydra.sweep.dir), count, command)
        reported = [error for error in errors if error is not None and not error.startswith("died")]
        if reported:
            raise MavrlError(reported[0])
        if not any(errors):
            return
        print(f"{sum(map(bool, errors))} of {count} workers died; starting again", flush=True)
    raise MavrlError(f"workers died {_MOST_ROUNDS} times; the same command goes on with the study")


def _run_here(count: int, command: list[str]) -> list[str | None]:
    """Why each of these processes failed; None for those that did not."""
    context = multiprocessing.get_context("spawn")
    script = str(Path(sys.argv[0]).resolve())
    searches = [context.Process(target=_search, args=(script, command)) for _ in range(count)]
    for search in searches:
        search.start()
    for search in searches:
        search.join()
    return [_why(search.exitcode) for search in searches]


def _why(status: int | None) -> str | None:
    if status == 0:
        return None
    if status is None or status < 0:
        return f"died with signal {-(status or 0)}"
    return f"a worker ended with status {status}"


def _search(script: str, command: list[str]) -> None:
    """Run the script as its own command would."""
    end_with_parent()
    sys.argv = [script, "-m", *command]
    runpy.run_path(script, run_name="__main__")


def _launch(launcher: Any, folder: Path, count: int, command: list[str]) -> list[str | None]:
    """The same, as jobs of a launcher, which read the command from a file."""
    path = folder / ".workers" / f"{uuid.uuid4().hex[:8]}.json"
    write_json(path, {"script": str(Path(sys.argv[0]).resolve()), "command": command})
    job = ["task=search_worker", f"task.command={path.resolve()}", f"hydra.sweep.dir={folder}"]
    results = launcher.launch([[*job, f"task.worker={k}"] for k in range(count)], initial_job_idx=0)
    return [None if (error := failure_of(result)) is None else f"died: {error}" for result in results]


def search_worker(config: DictConfig) -> None:
    """The task: one of several searches, in a process of its own."""
    content = read_json(Path(config.task.command))
    if content is None:
        raise MavrlError(f"{config.task.command}: no such command of a search")
    context = multiprocessing.get_context("spawn")
    search = context.Process(target=_search, args=(content["script"], content["command"]))
    search.start()
    try:
        search.join()
    finally:
        if search.is_alive():
            search.terminate()
    if why := _why(search.exitcode):
        raise MavrlError(why)
