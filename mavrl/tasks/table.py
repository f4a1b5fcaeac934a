"""The task that makes the table of a study, or of plain runs. It writes nothing into what it reads."""

import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from mavrl.errors import ConfigurationError
from mavrl.tasks.study import cells_of, is_chosen

if TYPE_CHECKING:
    from mavrl.reports.table import CellResult, ResultTable
    from mavrl.search.reading import StudyCell


def table(config: DictConfig) -> None:
    """Print or write the table in task.format.

    Raises:
        ConfigurationError: there is no such study, no completed run, or no place for several formats.
    """
    from mavrl.reports.rendering import FORMATS, terminal
    from mavrl.storage.files import write_text

    wanted, output = config.task.format, config.task.output
    if wanted == "all" and output is None:
        raise ConfigurationError("task.output", "null", "task.format=all writes files; give their path without suffix")
    made = _of_study(config) if is_chosen("study") else _of_runs(config)
    if wanted == "terminal" or output is not None:
        print(terminal(made, shutil.get_terminal_size((120, 24)).columns, styled=sys.stdout.isatty()))
    else:
        print(FORMATS[wanted][1](made), end="")
    for name, (suffix, render) in FORMATS.items():
        if output is not None and wanted in (name, "all"):
            write_text(Path(f"{output}{suffix}"), render(made))
            print(f"{output}{suffix}")


def _of_study(config: DictConfig) -> "ResultTable":
    from mavrl.reports.caption import study_caption

    cells = cells_of(config, config.study)
    confirmed = {c.record.name: c.confirmation.seeds for c in cells if c.is_confirmed and c.confirmation is not None}
    outdated = [c.record.name for c in cells if c.confirmation is not None and not c.is_confirmed]
    caption = study_caption(config.study, [cell.record for cell in cells], confirmed, outdated)
    results = [result for cell in cells if (result := _result(cell)) is not None]
    if not results:
        raise ConfigurationError("study", config.study, "no trial has been completed yet; task=study shows its state")
    return _with_legend(results, all(cell.record.budget is None for cell in cells), caption)


def _result(cell: "StudyCell") -> "CellResult | None":
    from mavrl.configuration.identity import changes_environment
    from mavrl.reports.table import CellResult

    record, best, confirmation = cell.record, cell.record.best, cell.confirmation
    if best is None:
        return None
    values = confirmation.final if cell.is_confirmed and confirmation is not None else cell.values(best)
    return CellResult(
        record.env,
        record.fixed.get("env.family", "grid"),
        record.modality,
        values,
        not cell.is_confirmed,
        best.n_samples,
        not changes_environment(record.command),
    )


def _of_runs(config: DictConfig) -> "ResultTable":
    from mavrl.reports.caption import runs_caption
    from mavrl.reports.pooling import pool_runs
    from mavrl.reports.words import seeds_in_words
    from mavrl.storage.filters import matching, read_filters
    from mavrl.storage.index import find_runs

    root, hydra = Path(config.paths.runs), HydraConfig.get()
    runs = matching(find_runs(root), read_filters(hydra.overrides.task, set(hydra.runtime.choices)))
    pooled, several = pool_runs(runs)
    left_out = ", ".join(f"{env} {modality} ({n} settings)" for (env, modality), n in several.items())
    remark = (
        f"Left out, because their runs differ in more than seeds: {left_out}; filters such as optim.lr=0.01 choose."
    )
    if not pooled:
        allowed = remark if several else "there is no completed run that the command line asks for"
        raise ConfigurationError("paths.runs", root, allowed)
    protocols = {(cell.result.env, cell.result.modality): cell.protocol for cell in pooled}
    seeds = {(cell.result.env, cell.result.modality): seeds_in_words(cell.seeds) for cell in pooled}
    caption = [*runs_caption(str(root), protocols, seeds), *([remark] if several else [])]
    return _with_legend([cell.result for cell in pooled], True, caption)


def _with_legend(results: "list[CellResult]", with_published: bool, caption: list[str]) -> "ResultTable":
    """The table, whose caption explains what is in it."""
    from mavrl.reports.caption import legend
    from mavrl.reports.table import result_table

    found = result_table(results, with_published)
    return replace(found, caption=(*caption, *legend(found)))
