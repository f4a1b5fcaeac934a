"""A multirun: all combinations that a command asks for, of which only what is missing is run."""

import shlex
import sys
from pathlib import Path
from typing import Any

from hydra.core.plugins import Plugins
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from mavrl.errors import MavrlError
from mavrl.results.files import read_json
from mavrl.results.sweeps import Job, record_sweep
from mavrl.sweep.cells import with_cells
from mavrl.sweep.combinations import ComposedJob, combinations, compose_all
from mavrl.sweep.jobs import failure_of


class RunsSweeper(Sweeper):
    """Runs every combination once: those that are finished are left alone, and one's failure stops no other."""

    def __init__(self, params: Any = None) -> None:
        self._params = params or {}

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self.hydra_context, self.config = hydra_context, config
        self.launcher = Plugins.instance().instantiate_launcher(hydra_context, task_function, config)

    def sweep(self, arguments: list[str]) -> Any:
        """Launch what is not finished, and say what failed.

        Raises:
            ConfigurationError: a combination cannot work; nothing is run.
            MavrlError: jobs failed.
        """
        given = [f"{key}={value}" for key, value in self._params.items()] + arguments
        wanted = combinations(with_cells(self.config, given))
        jobs, left_out = compose_all(self.hydra_context.config_loader, self.config, wanted)
        training = self.config.task.name == "train"
        todo = [job for job in jobs if not (training and job.finished and not job.config.rerun)]
        _announce(jobs, todo, left_out)
        if self.config.dry_run:
            for job in todo:
                print(f"env={job.config.env.name} modality={job.config.modality.name} {job.directory}")
            return []
        if training:
            _record(Path(self.config.hydra.sweep.dir), jobs)
        results = self.launcher.launch([job.overrides for job in todo], initial_job_idx=0) if todo else []
        failed = [(job, error) for job, result in zip(todo, results, strict=True) if (error := failure_of(result))]
        _conclude(jobs, failed)
        return [results]


def _announce(jobs: list[ComposedJob], todo: list[ComposedJob], left_out: dict[str, int]) -> None:
    finished = len(jobs) - len(todo)
    parts = [f"{len(todo)} to do", *([f"{finished} finished before"] if finished else [])]
    parts += [f"{count} left out by skip.{rule}" for rule, count in left_out.items()]
    print(f"{len(jobs)} runs: {', '.join(parts)}", flush=True)


def _record(root: Path, jobs: list[ComposedJob]) -> None:
    recorded = [Job(str(job.directory.relative_to(root)), job.overrides) for job in jobs]
    record_sweep(root, shlex.join(["python", Path(sys.argv[0]).name, *sys.argv[1:]]), recorded)


def _conclude(jobs: list[ComposedJob], failed: list[tuple[ComposedJob, BaseException]]) -> None:
    if not failed:
        print(f"{len(jobs)} runs are finished")
        return
    print(f"{len(failed)} of {len(jobs)} runs failed; the same command tries them again:")
    for job, error in failed:
        stored = (read_json(job.directory / "status.json") or {}).get("error")
        text = " ".join(str(stored or f"{type(error).__name__}: {error}").split())
        print(f"  {job.directory}: {text}")
    raise MavrlError(f"{len(failed)} of {len(jobs)} runs failed")
