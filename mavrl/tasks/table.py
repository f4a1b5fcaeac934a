"""The task that makes the table of a study, or of plain runs. It writes nothing into what it reads."""

import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from mavrl.errors import ConfigurationError
from mavrl.progress import stage
from mavrl.tasks.study import cells_of, is_chosen

if TYPE_CHECKING:
    from mavrl.reports.table import ResultTable


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
    with stage(config.progress, "reading runs"):
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
    from mavrl.reports.table_of import table_of_study

    found = table_of_study(config.study, cells_of(config, config.study))
    if found is None:
        raise ConfigurationError("study", config.study, "no trial has been completed yet; task=study shows its state")
    return found


def _of_runs(config: DictConfig) -> "ResultTable":
    from mavrl.reports.table_of import table_of_runs
    from mavrl.storage.filters import matching, read_filters
    from mavrl.storage.index import find_runs

    root, hydra = Path(config.paths.runs), HydraConfig.get()
    runs = matching(find_runs(root), read_filters(hydra.overrides.task, set(hydra.runtime.choices)))
    found, remark = table_of_runs(runs, str(root))
    if found is None:
        allowed = remark or "there is no completed run that the command line asks for"
        raise ConfigurationError("paths.runs", root, allowed)
    return found
