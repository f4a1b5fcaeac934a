"""The search for the best division of a budget and the best settings, in every cell that a command names."""

import contextlib
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn
from hydra.errors import HydraException
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf, read_write

from mavrl.configuration.check import check_sweep, refuse_settings
from mavrl.errors import ConfigurationError, MavrlError
from mavrl.metrics import metric_text
from mavrl.progress import say, stage
from mavrl.reports.words import counted, ties_in_words
from mavrl.storage.files import naming, open_log
from mavrl.sweep.cells import split_cells, with_cells
from mavrl.sweep.combinations import ComposedJob, combinations, compose_all
from mavrl.sweep.composer import Composer
from mavrl.sweep.launchers.jobs import failure_of
from mavrl.sweep.launching import launch, show_submission
from mavrl.sweep.notices import Notices
from mavrl.sweep.search_workers import run_searches

if TYPE_CHECKING:  # Optuna takes a second to import, and run.py imports this module for every command
    from optuna.samplers import BaseSampler

    from mavrl.search.study import Assignment, Search, SearchPlan

_SAMPLERS = ("hydra_plugins.hydra_optuna_sweeper.*", "optuna.samplers.*")
_GIVE_UP_AFTER = 10  # trials of a cell, when none of them has succeeded


@dataclass
class _CellSearch:
    """The search of one cell, as it goes on.

    Args:
        search: takes trials and records their ends.
        overrides: what all trials have in common.
    """

    search: "Search"
    overrides: list[str]

    @property
    def ended(self) -> int:
        """Trials that have ended, whoever ran them."""
        return self.search.record.count("completed") + self.search.record.count("failed")

    @property
    def is_hopeless(self) -> bool:
        """Whether the first trials have all failed."""
        trials = self.search.record.trials
        return len(trials) >= _GIVE_UP_AFTER and all(trial.state == "failed" for trial in trials)


class SearchSweeper(Sweeper):
    """Asks Optuna for trials, launches them in batches, and records what becomes of them.

    `search` in the configuration says what is searched and how. With `search.workers` above 1 the sweeper starts so
    many searches instead, which share the studies.

    Args:
        sampler: configuration of a sampler of Optuna, with its `_target_`.
    """

    def __init__(self, sampler: DictConfig | None = None, **unknown: Any) -> None:
        refuse_settings(unknown)
        if sampler is None:
            raise ConfigurationError("hydra/sweeper/sampler", None, "must be an option of this group, such as tpe")
        self._sampler = sampler

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Take the configuration of the command, and make the launcher that it names."""
        check_sweep(config)
        with read_write(config.hydra):
            config.hydra.sweep.dir = str(Path(config.paths.studies) / config.study)
        self._config, self._compose = config, Composer(hydra_context.config_loader, config)
        self._launcher = Plugins.instance().instantiate_launcher(hydra_context, task_function, config)

    def sweep(self, arguments: list[str]) -> list[list[JobReturn]]:
        """Search in all cells.

        Args:
            arguments: overrides of the command, Hydra's own excepted.

        Returns:
            What the trials of each batch returned; nothing where other searches ran them.

        Raises:
            ConfigurationError: a search cannot work; nothing is run.
            MavrlError: the trials of a cell fail one and all, or workers died for good.
        """
        if self._config.task.name != "train":
            raise ConfigurationError("task", self._config.task.name, "a search runs trials of task=train")
        if self._sampler.get("_partial_"):
            allowed = "needs a list of all values; -m without it runs every combination"
            raise ConfigurationError("hydra/sweeper/sampler", "grid", allowed)
        _refuse_one_directory(self._config.hydra.overrides.hydra)
        self._check_sampler()
        with stage(self._config.progress, "composing the cells"):
            cells, left_out = self._plan_cells(arguments)
        if self._config.dry_run:
            for _, plan in cells:
                print(_plan_line(plan))
            omitted = ", ".join(f"{n} left out by skip.{rule}" for rule, n in left_out.items()) or "none left out"
            trials = counted(sum(plan.total for _, plan in cells), "trial")
            print(f"{counted(len(cells), 'search', 'searches')}, {trials}; {omitted}")
            workers = self._config.search.workers
            show_submission(self._launcher, workers if workers > 1 else self._batch_size)
            return []
        with contextlib.ExitStack() as opened:
            with stage(self._config.progress, "reading the studies"):
                searches = [opened.enter_context(self._open_search(job, plan)) for job, plan in cells]
            if self._config.search.workers == 1:
                return self._search(searches)
            run_searches(self._launcher, self._config, arguments)
            _conclude(searches)
            return []

    def _check_sampler(self) -> None:
        try:
            self._make_sampler(self._config.search.seed)
        except (HydraException, ImportError, TypeError, ValueError) as error:
            lines = str(error).splitlines() or [type(error).__name__]
            why = next((line for line in lines if line.startswith(("TypeError", "ValueError"))), lines[0])
            target = self._sampler.get("_target_")
            raise ConfigurationError("hydra.sweeper.sampler", target, f"cannot be made: {why}") from error

    # The cells of a command ------------------------------------------------------------------------------------------

    def _plan_cells(self, arguments: list[str]) -> "tuple[list[tuple[ComposedJob, SearchPlan]], dict[str, int]]":
        """The plan of each cell beside a run in it, and how many cells each rule of `skip` leaves out."""
        from mavrl.sweep.distributions import read_distributions
        from mavrl.sweep.plans import make_plan

        given = with_cells(self._config, arguments)
        axes, others = split_cells(OverridesParser.create().parse_overrides(given))
        ranges = [str(override.input_line) for override in others if override.is_sweep_override()]
        fixed = [str(override.input_line) for override in others if not override.is_sweep_override()]
        jobs, left_out = compose_all(
            self._compose,
            [
                [*cell, *fixed, f"hydra.sweep.dir={self._config.hydra.sweep.dir}"]
                for cell in combinations([str(axis.input_line) for axis in axes])
            ],
        )
        of_command, keys_of_command = read_distributions(ranges), {override.key_or_group for override in others}
        cells = []
        for job in jobs:
            search = job.config.search
            space = OmegaConf.to_container(OmegaConf.create(search.space)) if search.settings else {}
            assert isinstance(space, dict)
            lines = [f"{key}={range_}" for key, range_ in space.items() if range_ is not None]
            own = read_distributions(line for line in lines if line.partition("=")[0] not in keys_of_command)
            cells.append((job, make_plan(job.config, self._config.study, {**own, **of_command}, fixed)))
        return cells, left_out

    @contextlib.contextmanager
    def _open_search(self, job: ComposedJob, plan: "SearchPlan") -> Iterator[_CellSearch]:
        from mavrl.search.storage import open_storage
        from mavrl.search.study import Search
        from mavrl.sweep.plans import storage_place, study_folder

        storage = open_storage(storage_place(job.config, plan.study), create=True)
        search = Search(plan, storage, study_folder(job.config, plan.study), self._make_sampler)
        try:
            yield _CellSearch(search, job.overrides)
        finally:
            search.close()

    def _make_sampler(self, seed: int) -> "BaseSampler":
        return instantiate({**self._sampler, "seed": seed}, _execution_whitelist_=_SAMPLERS)

    # Trials ----------------------------------------------------------------------------------------------------------

    def _search(self, cells: list[_CellSearch]) -> list[list[JobReturn]]:
        returns, number, notices = [], 0, Notices.from_config(self._config)
        for cell in cells:
            n_trials = len(cell.search.record.trials)
            there = f", {n_trials} of them there" if n_trials else ""
            plan = cell.search.plan
            trials = counted(plan.total, "trial")
            print(f"study {plan.name}: {trials} for {plan.metric} ({plan.direction}){there}", flush=True)
        total, ended = sum(cell.search.plan.total for cell in cells), sum(cell.ended for cell in cells)
        with stage(self._config.progress, "searching", "trial", total, ended) as count:
            while batch := self._take_batch(cells, self._batch_size):
                lines = [[*cell.overrides, *trial.overrides, f"search.trial={trial.trial}"] for cell, trial in batch]
                jobs = [ComposedJob(overrides, self._compose(overrides)) for overrides in lines]
                with _output_to_log(Path(self._config.hydra.sweep.dir)):
                    results = launch(self._launcher, jobs, number, progress=False)
                number += len(jobs)
                for (cell, assignment), job, result in zip(batch, jobs, results, strict=True):
                    cell.search.tell(assignment, job.directory, failure_of(result))
                    _report_trial(cell, assignment.trial, notices)
                returns.append(list(results))
                count.done = sum(cell.ended for cell in cells)
        _conclude(cells)
        return returns

    @property
    def _batch_size(self) -> int:
        """The number of trials that run together."""
        return self._config.search.batch or getattr(self._launcher, "workers", None) or 1

    def _take_batch(self, cells: list[_CellSearch], size: int) -> "list[tuple[_CellSearch, Assignment]]":
        """Trials to run now, of the first cells that have some."""
        batch: list[tuple[_CellSearch, Assignment]] = []
        for cell in cells:
            if len(batch) == size:
                break
            if not cell.is_hopeless:
                batch += [(cell, assignment) for assignment in cell.search.take(size - len(batch))]
        return batch


def _refuse_one_directory(words: Sequence[str]) -> None:
    """A directory for all trials would keep the first alone."""
    for word in words:
        key, _, value = word.partition("=")
        if key == "hydra.sweep.subdir" and "${" not in value:
            raise ConfigurationError(key, value, "would be the directory of every trial of the search; leave it out")


def _plan_line(plan: "SearchPlan") -> str:
    space = plan.space
    allowed = f", of which the caps allow {space.spent}," if space.spent < space.budget else ""
    division = f"budget {space.budget}{allowed} over {', '.join(space.kinds)}" if space.kinds else "given counts"
    searched = ", ".join(space.settings) or "nothing else"
    return f"{plan.name}: {counted(plan.total, 'trial')} for {plan.metric} ({plan.direction}); {division}; {searched}"


def _report_trial(cell: _CellSearch, number: int, notices: Notices) -> None:
    """Print one line for a trial that has ended, and post a notice when it is the best, the last, or failed."""
    record = cell.search.record
    trial, best, total = record.trials[number], record.best, cell.search.plan.total
    ended = cell.ended
    head = f"[{ended}/{total}] {record.env} {record.modality} trial {number}"
    name = f"{record.name} trial {number}"
    if trial.state == "completed" and best is not None:
        counts = ", ".join(f"{n} {kind}" for kind, n in trial.n_samples.items() if n)
        tail = "the best" if best.number == number else f"best {metric_text(best.value)} of trial {best.number}"
        say(f"{head}: {record.metric} {metric_text(trial.value)} ({tail}); {counts}; {trial.seconds:.1f} s")
        if best.number == number:
            notices.post(f"{name} is the best so far: {record.metric} {metric_text(trial.value)} with {counts}")
    elif trial.state == "failed":
        say(f"{head} failed: {trial.error}")
        notices.post(f"{name} failed: {trial.error}")
    else:
        say(f"{head} ended without a result; it is tried again")
    if ended == total and trial.state != "running":
        notices.post(f"study {_summary(cell)}")


def _summary(cell: _CellSearch) -> str:
    record = cell.search.record
    failed = f", {record.count('failed')} failed" if record.count("failed") else ""
    running = f", {record.count('running')} running elsewhere" if record.count("running") else ""
    best = record.best
    found = "no result" if best is None else f"best {record.metric} {metric_text(best.value)} of trial {best.number}"
    ties = ties_in_words(record.tied, record.count("completed"))
    return f"{record.name}: {counted(record.count('completed'), 'trial')}{failed}{running}; {found}{ties}"


def _conclude(cells: list[_CellSearch]) -> None:
    for cell in cells:
        print(f"study {_summary(cell)}", flush=True)
    for cell in cells:
        record = cell.search.record
        if record.trials and all(trial.state == "failed" for trial in record.trials):
            ended = ", so the search was ended" if len(record.trials) < cell.search.plan.total else ""
            raise MavrlError(f"every trial of {record.name} failed{ended}; the last one: {record.trials[-1].error}")


@contextlib.contextmanager
def _output_to_log(folder: Path) -> Iterator[None]:
    """Send what trials and launchers print to a file: a search has one line for each trial."""
    path = folder / ".logs" / "trials.log"
    sys.stdout.flush()
    with naming(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(open_log(path), "a", encoding="utf-8") as log, contextlib.redirect_stdout(log):
            yield
