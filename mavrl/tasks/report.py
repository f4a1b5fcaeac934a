"""The task that makes one page of a run, a sweep, a study, or the runs of a folder."""

import datetime
import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig

from mavrl import __version__
from mavrl.errors import ConfigurationError
from mavrl.progress import stage
from mavrl.storage.filters import matching, matching_planned_runs
from mavrl.storage.index import find_runs, read_run
from mavrl.storage.sweeps import recorded_sweeps
from mavrl.tasks.results import chosen_groups, filters_asked, planned_cell, runs_root
from mavrl.tasks.study import cells_of, is_chosen

if TYPE_CHECKING:
    from mavrl.reports.page.content import Page

_PAGE = "report.html"


def report(config: DictConfig) -> None:
    """Write the page, and print its path as the last line.

    Raises:
        ConfigurationError: there is no such run, sweep or study, or no run at all.
    """
    from mavrl.reports.page.writing import page_html
    from mavrl.storage.files import write_text

    makers = {"run_dir": _of_run, "task.sweep": _of_sweep, "study": _of_study}
    given = {"run_dir": config.run_dir, "task.sweep": config.task.sweep}
    given["study"] = config.study if is_chosen("study") else None
    chosen = [key for key, value in given.items() if value is not None]
    if len(chosen) > 1:
        raise ConfigurationError(chosen[0], given[chosen[0]], f"is about something else than {chosen[1]}; give one")
    make = makers[chosen[0]] if chosen else _of_runs
    with stage(config.progress, "making the page"):
        path, page = make(config)
        write_text(path, page_html(page))
    print(path)


def _of_run(config: DictConfig) -> "tuple[Path, Page]":
    from mavrl.reports.page.run import run_page

    run = read_run(Path(config.run_dir))
    if run is None:
        raise ConfigurationError("run_dir", config.run_dir, "must be the directory of a run")
    path = _place(config, run.path / _PAGE)
    return path, run_page(run, path.parent, _made())


def _of_sweep(config: DictConfig) -> "tuple[Path, Page]":
    from mavrl.reports.page.runs import runs_page

    root, groups = runs_root(config), chosen_groups()
    sweeps = {sweep.id: sweep for sweep in recorded_sweeps(root)}
    if config.task.sweep not in sweeps:
        known = ", ".join(sweeps) or "there is none"
        raise ConfigurationError("task.sweep", config.task.sweep, f"no such sweep in {root}; recorded: {known}")
    sweep, filters = sweeps[config.task.sweep], filters_asked()
    found = {planned.directory: read_run(root / planned.directory) for planned in sweep.runs}
    runs = matching([run for run in found.values() if run is not None], filters)
    waiting_for = [planned for planned in sweep.runs if found[planned.directory] is None]
    pending = [planned_cell(each, groups) for each in matching_planned_runs(waiting_for, filters, groups)]
    path, figures = _place(config, root / f"report-{sweep.id}.html"), root / "figures" / sweep.id
    title = f"sweep {sweep.id}"
    return path, runs_page(title, runs, pending, root, path.parent, _made(), sweep.command, figures)


def _of_runs(config: DictConfig) -> "tuple[Path, Page]":
    from mavrl.reports.page.runs import runs_page

    root, filters = runs_root(config), filters_asked()
    asked = " ".join(map(str, filters))
    runs = matching(find_runs(root), filters)
    if not runs:
        allowed = f"has no run that matches {asked}" if asked else "has no run"
        raise ConfigurationError("paths.runs", root, allowed)
    name = hashlib.sha256(asked.encode()).hexdigest()[:7] if asked else "all"
    path = _place(config, root / f"report-{name}.html")
    title = f"runs with {asked}" if asked else "all runs"
    return path, runs_page(title, runs, [], root, path.parent, _made(), figures=root / "figures")


def _of_study(config: DictConfig) -> "tuple[Path, Page]":
    from mavrl.reports.page.study import study_page
    from mavrl.search.importance import importances

    cells, folder = cells_of(config, config.study), Path(config.paths.studies) / config.study
    alone = len(cells) == 1
    path = _place(config, (cells[0].folder if alone else folder) / _PAGE)
    shares = importances(cells[0].study) if alone else {}
    return path, study_page(config.study, cells, shares, folder, path.parent, _made())


def _place(config: DictConfig, default: Path) -> Path:
    return default if config.task.output is None else Path(config.task.output)


def _made() -> str:
    now: Any = datetime.datetime.now().astimezone()
    return f"Made by MAVRL {__version__} on {now:%Y-%m-%d %H:%M %Z}. Links lead to files beside this page."
