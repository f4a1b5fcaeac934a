"""A multirun: all combinations that a command asks for, of which only what is missing is run."""

from pathlib import Path
from typing import Any

from hydra.core.plugins import Plugins
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

from mavrl.configuration.check import check_sweep, refuse_settings
from mavrl.configuration.plain import typed_command
from mavrl.configuration.rules import READING
from mavrl.configuration.trust import check_trust
from mavrl.errors import ConfigurationError, MavrlError
from mavrl.progress import stage
from mavrl.reports.words import counted
from mavrl.storage.contents import read_metrics, read_status
from mavrl.storage.sweeps import PlannedRun, record_sweep
from mavrl.sweep.cells import chosen_option, with_cells
from mavrl.sweep.combinations import ComposedJob, combinations, compose_all
from mavrl.sweep.composer import Composer
from mavrl.sweep.launchers.jobs import failure_of
from mavrl.sweep.launching import launch, prepared_workers, show_jobs
from mavrl.sweep.notices import Notices
from mavrl.sweep.repetition import directory_overrides, run_overrides, runs_to_retry

_MOST_NAMED = 10  # failed runs in a notice


class RunsSweeper(Sweeper):
    """Runs every combination once: those that are finished are left alone, and one's failure stops no other.

    With task=retry and task=confirm the jobs are not combinations, but runs and studies that are there.
    """

    def __init__(self, **unknown: Any) -> None:
        refuse_settings(unknown)

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Take the configuration of the command, and make the launcher that it names."""
        check_sweep(config)
        self._config, self._compose = config, Composer(hydra_context.config_loader, config)
        self._launcher = Plugins.instance().instantiate_launcher(hydra_context, task_function, config)

    def sweep(self, arguments: list[str]) -> list[ComposedJob]:
        """Launch what is not finished, and say what failed.

        Args:
            arguments: overrides of the command, Hydra's own excepted.

        Returns:
            All jobs of the sweep, those included that were finished before.

        Raises:
            ConfigurationError: a combination cannot work; nothing is run.
            MavrlError: jobs failed.
        """
        if self._config.task.name in READING:
            raise ConfigurationError("task", self._config.task.name, "reads all runs at once; leave -m out")
        if self._config.task.name == "retry":
            runs = runs_to_retry(self._config, arguments)
            logger = _logger_of(arguments)
            wanted = [[*run_overrides(self._config, run), *directory_overrides(run.path), *logger] for run in runs]
            return self._run(wanted)
        if self._config.task.name == "confirm":
            return self._confirm(arguments)
        return self._run(combinations(with_cells(self._config, arguments)), record=self._config.task.name == "train")

    def _confirm(self, arguments: list[str]) -> list[ComposedJob]:
        from mavrl.sweep.confirmation import confirmations

        wanted = confirmations(self._config, chosen_option(arguments, "env"), chosen_option(arguments, "modality"))
        for confirmation in wanted:
            overrides = confirmation.trial_overrides
            job = ComposedJob(overrides, self._compose(overrides))
            confirmation.check(job)
            check_trust(self._config, OmegaConf.select(job.config, "env.id"), confirmation.directory)
        logger = _logger_of(arguments)
        jobs = self._run([[*confirmation.overrides, *logger] for confirmation in wanted])
        if not self._config.dry_run:
            for confirmation, job in zip(wanted, jobs, strict=True):
                print(confirmation.write(read_metrics(job.directory), job.directory))
        return jobs

    def _run(self, wanted: list[list[str]], record: bool = False) -> list[ComposedJob]:
        with prepared_workers(self._launcher, 0 if self._config.dry_run else len(wanted)):
            with stage(self._config.progress, f"composing {counted(len(wanted), 'run')}"):
                jobs, left_out = compose_all(self._compose, wanted)
            todo = [job for job in jobs if job.config.rerun or not job.finished]
            finished = len(jobs) - len(todo)
            parts = [f"{len(todo)} to do", *([f"{finished} finished before"] if finished else [])]
            parts += [f"{count} left out by skip.{rule}" for rule, count in left_out.items()]
            print(f"{counted(len(jobs), 'run')}: {', '.join(parts)}", flush=True)
            if self._config.dry_run:
                show_jobs(self._launcher, todo)
                return jobs
            if record:
                root = Path(self._config.hydra.sweep.dir)
                planned = [PlannedRun(str(job.directory.relative_to(root)), job.overrides) for job in jobs]
                record_sweep(root, typed_command(), planned)
            results = launch(self._launcher, todo)
        self._conclude(len(jobs), [(job, failure_of(result)) for job, result in zip(todo, results, strict=True)])
        return jobs

    def _conclude(self, n_jobs: int, outcomes: list[tuple[ComposedJob, BaseException | None]]) -> None:
        lines = []
        for job, error in outcomes:
            if error is not None:
                stored = read_status(job.directory).get("error")
                text = " ".join(str(stored or f"{type(error).__name__}: {error}").split())
                lines.append(f"{job.directory}: {text}")
        if not lines:
            print(f"finished: {counted(n_jobs, 'run')}")
            return
        summary = f"{len(lines)} of {counted(n_jobs, 'run')} failed"
        print(f"{summary}; the same command tries them again:", *lines, sep="\n  ")
        Notices.from_config(self._config).post("\n".join([summary, *lines[:_MOST_NAMED]]))
        raise MavrlError(summary)


def _logger_of(arguments: list[str]) -> list[str]:
    """The words of a command that say where its jobs log."""
    return [word for word in arguments if word.partition("=")[0].partition(".")[0] == "logger"]
