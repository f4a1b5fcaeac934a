"""A multirun: all combinations that a command asks for, of which only what is missing is run."""

import shlex
import sys
from pathlib import Path
from typing import Any

from hydra.core.plugins import Plugins
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from mavrl.configuration.identity import repeating
from mavrl.errors import MavrlError
from mavrl.storage.files import read_json
from mavrl.storage.sweeps import Job, record_sweep
from mavrl.sweep.cells import chosen, with_cells
from mavrl.sweep.combinations import ComposedJob, combinations, compose_all
from mavrl.sweep.composer import Composer
from mavrl.sweep.launchers.jobs import failure_of
from mavrl.sweep.launching import launch, prepared
from mavrl.sweep.notices import Notices
from mavrl.sweep.repetition import directory_overrides, runs_to_retry

Failure = tuple[ComposedJob, BaseException]
_NAMED = 10  # failed runs in a notice


class RunsSweeper(Sweeper):
    """Runs every combination once: those that are finished are left alone, and one's failure stops no other.

    With task=retry and task=confirm the jobs are not combinations, but runs and studies that are there.

    Args:
        params: more values, by key.
    """

    def __init__(self, params: Any = None) -> None:
        self._params = params or {}

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self._config, self._compose = config, Composer(hydra_context.config_loader, config)
        self._launcher = Plugins.instance().instantiate_launcher(hydra_context, task_function, config)

    def sweep(self, arguments: list[str]) -> Any:
        """Launch what is not finished, and say what failed.

        Raises:
            ConfigurationError: a combination cannot work; nothing is run.
            MavrlError: jobs failed.
        """
        given = [f"{key}={value}" for key, value in self._params.items()] + arguments
        if self._config.task.name == "retry":
            runs = runs_to_retry(self._config, given)
            return self._run([[*repeating(run.config), *directory_overrides(run.path)] for run in runs])
        if self._config.task.name == "confirm":
            return self._confirm(given)
        return self._run(combinations(with_cells(self._config, given)), record=self._config.task.name == "train")

    def _confirm(self, arguments: list[str]) -> Any:
        from mavrl.sweep.confirmation import confirmations

        wanted = confirmations(self._config, chosen(arguments, "env"), chosen(arguments, "modality"))
        for confirmation in wanted:
            confirmation.check(ComposedJob(confirmation.original, self._compose(confirmation.original)))
        jobs = self._run([confirmation.overrides for confirmation in wanted])
        if not self._config.dry_run:
            for confirmation, job in zip(wanted, jobs, strict=True):
                print(confirmation.write(read_json(job.directory / "metrics.json") or {}, job.directory))
        return jobs

    def _run(self, wanted: list[list[str]], record: bool = False) -> list[ComposedJob]:
        with prepared(self._launcher, 0 if self._config.dry_run else len(wanted)):
            jobs, left_out = compose_all(self._compose, wanted)
            todo = [job for job in jobs if job.config.rerun or not job.finished]
            _announce(jobs, todo, left_out)
            if self._config.dry_run:
                for job in todo:
                    print(f"env={job.config.env.name} modality={job.config.modality.name} {job.directory}")
                return jobs
            if record:
                _record(Path(self._config.hydra.sweep.dir), jobs)
            results = launch(self._launcher, todo)
        self._conclude(jobs, [(job, e) for job, result in zip(todo, results, strict=True) if (e := failure_of(result))])
        return jobs

    def _conclude(self, jobs: list[ComposedJob], failures: list[Failure]) -> None:
        if not failures:
            print(f"finished: {_number(len(jobs))}")
            return
        summary = f"{len(failures)} of {_number(len(jobs))} failed"
        print(f"{summary}; the same command tries them again:")
        lines = []
        for job, error in failures:
            stored = (read_json(job.directory / "status.json") or {}).get("error")
            text = " ".join(str(stored or f"{type(error).__name__}: {error}").split())
            lines.append(f"{job.directory}: {text}")
            print(f"  {lines[-1]}")
        Notices.of(self._config).post("\n".join([summary, *lines[:_NAMED]]))
        raise MavrlError(summary)


def _number(runs: int) -> str:
    return f"{runs} run{'' if runs == 1 else 's'}"


def _announce(jobs: list[ComposedJob], todo: list[ComposedJob], left_out: dict[str, int]) -> None:
    finished = len(jobs) - len(todo)
    parts = [f"{len(todo)} to do", *([f"{finished} finished before"] if finished else [])]
    parts += [f"{count} left out by skip.{rule}" for rule, count in left_out.items()]
    print(f"{_number(len(jobs))}: {', '.join(parts)}", flush=True)


def _record(root: Path, jobs: list[ComposedJob]) -> None:
    recorded = [Job(str(job.directory.relative_to(root)), job.overrides) for job in jobs]
    record_sweep(root, shlex.join(["python", Path(sys.argv[0]).name, *sys.argv[1:]]), recorded)
