"""The search for the best division of a budget and the best settings, in every cell that a command names."""

import contextlib
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf, read_write

from mavrl.errors import ConfigurationError, MavrlError
from mavrl.metrics import metric_text
from mavrl.sweep.cells import split_cells, with_cells
from mavrl.sweep.combinations import ComposedJob, combinations, compose_all
from mavrl.sweep.composer import Composer
from mavrl.sweep.launchers.jobs import failure_of
from mavrl.sweep.launching import launch
from mavrl.sweep.notices import Notices
from mavrl.sweep.searches import run_searches

_SAMPLERS = ("hydra_plugins.hydra_optuna_sweeper.*", "optuna.samplers.*")
_GIVE_UP_AFTER = 10  # trials of a cell, when none of them has succeeded


@dataclass
class _Cell:
    """One search that goes on."""

    search: Any  # mavrl.search.study.Search
    overrides: list[str]  # that all its trials have

    @property
    def hopeless(self) -> str | None:
        """The last error, when the first trials have all failed."""
        trials = self.search.record.trials
        if len(trials) >= _GIVE_UP_AFTER and all(trial.state == "failed" for trial in trials):
            return trials[-1].error
        return None


class SearchSweeper(Sweeper):
    """Asks Optuna for trials, launches them in batches, and records what becomes of them.

    With `search.workers` above 1 it starts so many searches instead, which share the studies.

    Args:
        sampler: of Optuna, by its `_target_`.
        direction: minimize or maximize, which must be the metric's; None for the metric's.
        storage: URL or path of a journal file, for all cells; None for `search.storage`.
        study_name: None for `study`.
        n_trials: of each cell in all; trials that are in the study count.
        n_jobs: trials that are launched together; None for as many as the launcher runs at once.
        params: more distributions, by key.
    """

    def __init__(
        self,
        sampler: Any,
        direction: Any = None,
        storage: str | None = None,
        study_name: str | None = None,
        n_trials: int | None = None,
        n_jobs: int | None = None,
        params: DictConfig | None = None,
    ) -> None:
        self._sampler = sampler
        self._direction = direction
        self._params = params or {}
        self._n_jobs = n_jobs
        chosen = {"search.storage": storage, "study": study_name, "search.n_trials": n_trials}
        self._own = [f"{key}={value}" for key, value in chosen.items() if value is not None]

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        for override in OverridesParser.create().parse_overrides(self._own):
            OmegaConf.update(config, override.key_or_group, override.value())
        with read_write(config.hydra):
            config.hydra.sweep.dir = str(Path(config.paths.studies) / config.study)
        self._config, self._compose = config, Composer(hydra_context.config_loader, config)
        self._launcher = Plugins.instance().instantiate_launcher(hydra_context, task_function, config)

    def sweep(self, arguments: list[str]) -> Any:
        """Search in all cells.

        Raises:
            ConfigurationError: a search cannot work; nothing is run.
            MavrlError: the trials of a cell fail one and all, or workers died for good.
        """
        if self._config.task.name != "train":
            raise ConfigurationError("task", self._config.task.name, "a search runs trials of task=train")
        if self._sampler.get("_partial_"):
            allowed = "needs a list of all values; -m without it runs every combination"
            raise ConfigurationError("hydra/sweeper/sampler", "grid", allowed)
        cells, left_out = self._cells(arguments)
        if self._config.dry_run:
            for job, plan in cells:
                print(_planned(job, plan))
            print(f"{len(cells)} searches, {sum(plan.total for _, plan in cells)} trials; {_omitted(left_out)}")
            return []
        with contextlib.ExitStack() as opened:
            searches = [opened.enter_context(self._open(job, plan)) for job, plan in cells]
            if self._config.search.workers == 1:
                return self._search(searches)
            run_searches(self._launcher, self._config, arguments)
            _conclude(searches)
            return []

    # The cells of a command ------------------------------------------------------------------------------------------

    def _cells(self, arguments: list[str]) -> tuple[list[tuple[ComposedJob, Any]], dict[str, int]]:
        from hydra_plugins.hydra_optuna_sweeper._impl import create_params_from_overrides

        from mavrl.sweep.plans import plan_of

        given = [f"{key}={value}" for key, value in self._params.items()] + with_cells(self._config, arguments)
        axes, others = split_cells(OverridesParser.create().parse_overrides(given))
        swept = [str(override.input_line) for override in others if override.is_sweep_override()]
        fixed = [str(override.input_line) for override in others if not override.is_sweep_override()]
        distributions = create_params_from_overrides(swept)[0]
        own = [*self._own, f"hydra.sweep.dir={self._config.hydra.sweep.dir}"]
        jobs, left_out = compose_all(
            self._compose,
            [[*cell, *fixed, *own] for cell in combinations([str(axis.input_line) for axis in axes])],
        )
        cells = []
        for job in jobs:
            chosen = {override.key_or_group for override in others}
            space: Any = (
                OmegaConf.to_container(job.config.search.space, resolve=True) if job.config.search.settings else {}
            )
            lines = [f"{key}={values}" for key, values in space.items() if key not in chosen and values is not None]
            settings = {**create_params_from_overrides(lines)[0], **distributions}
            cells.append((job, plan_of(job.config, self._config.study, settings, fixed, self._asked_direction())))
        return cells, left_out

    def _asked_direction(self) -> str | None:
        return None if self._direction is None else str(getattr(self._direction, "name", self._direction))

    @contextlib.contextmanager
    def _open(self, job: ComposedJob, plan: Any) -> Iterator[_Cell]:
        from mavrl.search.storage import open_storage
        from mavrl.search.study import Search
        from mavrl.sweep.plans import journal_of, study_folder

        storage = open_storage(journal_of(job.config, plan.study), create=True)
        search = Search(plan, storage, study_folder(job.config, plan.study), self._make_sampler)
        try:
            yield _Cell(search, job.overrides)
        finally:
            search.close()

    def _make_sampler(self, seed: int) -> Any:
        return instantiate({**self._sampler, "seed": seed}, _execution_whitelist_=_SAMPLERS)

    # Trials ----------------------------------------------------------------------------------------------------------

    def _search(self, cells: list[_Cell]) -> list[list[JobReturn]]:
        at_once = self._n_jobs or getattr(self._launcher, "workers", None) or 1
        returns, number, notices = [], 0, Notices.of(self._config)
        for cell in cells:
            _begin(cell)
        while batch := self._batch(cells, at_once):
            lines = [[*cell.overrides, *taken.overrides] for cell, taken in batch]
            jobs = [ComposedJob(overrides, self._compose(overrides)) for overrides in lines]
            with _quiet(Path(self._config.hydra.sweep.dir)):
                results = launch(self._launcher, jobs, first=number)
            number += len(jobs)
            for (cell, taken), job, result in zip(batch, jobs, results, strict=True):
                cell.search.tell(taken, job.directory, failure_of(result))
                _report(cell, taken.trial, notices)
            returns.append(list(results))
        _conclude(cells)
        return returns

    def _batch(self, cells: list[_Cell], count: int) -> list[tuple[_Cell, Any]]:
        """Trials to run now, of the first cells that have some."""
        batch: list[tuple[_Cell, Any]] = []
        for cell in cells:
            if len(batch) == count:
                break
            if cell.hopeless is None:
                batch += [(cell, taken) for taken in cell.search.take(count - len(batch))]
        return batch


def _planned(job: ComposedJob, plan: Any) -> str:
    space = plan.space
    division = f"budget {space.budget} over {', '.join(space.kinds)}" if space.kinds else "given counts"
    searched = ", ".join(space.settings) or "nothing else"
    return f"{plan.name}: {plan.total} trials for {plan.metric} ({plan.direction}); {division}; {searched}"


def _omitted(left_out: dict[str, int]) -> str:
    return ", ".join(f"{count} left out by skip.{rule}" for rule, count in left_out.items()) or "none left out"


def _begin(cell: _Cell) -> None:
    record, plan = cell.search.record, cell.search.plan
    found = f", {len(record.trials)} of them there" if record.trials else ""
    print(f"study {plan.name}: {plan.total} trials for {plan.metric} ({plan.direction}){found}", flush=True)


def _report(cell: _Cell, number: int, notices: Notices) -> None:
    """One line for a trial that has ended, and a notice when it is the best, the last, or failed."""
    record = cell.search.record
    trial, best, total = record.trials[number], record.best, cell.search.plan.total
    ended = record.count("completed") + record.count("failed")
    head = f"[{ended}/{total}] {record.env} {record.modality} trial {number}"
    name = f"{record.name} trial {number}"
    if trial.state == "completed" and best is not None:
        counts = ", ".join(f"{n} {kind}" for kind, n in trial.n_samples.items() if n)
        tail = "the best" if best.number == number else f"best {metric_text(best.value)} of trial {best.number}"
        print(
            f"{head}: {record.metric} {metric_text(trial.value)} ({tail}); {counts}; {trial.seconds:.1f} s", flush=True
        )
        if best.number == number:
            notices.post(f"{name} is the best so far: {record.metric} {metric_text(trial.value)} with {counts}")
    elif trial.state == "failed":
        print(f"{head} failed: {trial.error}", flush=True)
        notices.post(f"{name} failed: {trial.error}")
    else:
        print(f"{head} ended without a result; it is tried again", flush=True)
    if ended == total and trial.state != "running":
        notices.post(f"study {_summary(cell)}")


def _summary(cell: _Cell) -> str:
    record = cell.search.record
    failed = f", {record.count('failed')} failed" if record.count("failed") else ""
    running = f", {record.count('running')} running elsewhere" if record.count("running") else ""
    best = record.best
    found = "no result" if best is None else f"best {record.metric} {metric_text(best.value)} of trial {best.number}"
    return f"{record.name}: {record.count('completed')} trials{failed}{running}; {found}"


def _conclude(cells: list[_Cell]) -> None:
    for cell in cells:
        print(f"study {_summary(cell)}", flush=True)
    for cell in cells:
        if (error := cell.hopeless) is not None:
            name = cell.search.plan.name
            raise MavrlError(f"every trial of {name} failed, so the search was ended; the last one: {error}")


@contextlib.contextmanager
def _quiet(folder: Path) -> Iterator[None]:
    """What trials and launchers print goes to a file: a search has one line for each trial."""
    (folder / ".logs").mkdir(parents=True, exist_ok=True)
    sys.stdout.flush()
    with open(folder / ".logs" / "trials.log", "a") as log, contextlib.redirect_stdout(log):
        yield
