"""Runs that are run again: from what their directories say, not from the commands that asked for them."""

from collections.abc import Iterable
from pathlib import Path

from omegaconf import DictConfig

from mavrl.configuration.identity import is_repeatable
from mavrl.storage.filters import matching, read_filters
from mavrl.storage.index import Run, find_runs

_TO_RETRY = ("failed", "interrupted")


def directory_overrides(directory: Path) -> list[str]:
    """The overrides that make a job run in a directory."""
    return [f"hydra.sweep.dir={directory.parent}", f"hydra.sweep.subdir={directory.name}"]


def runs_to_retry(config: DictConfig, arguments: Iterable[str]) -> list[Run]:
    """The runs below paths.runs that failed or were cut off, and of which all filters are true.

    Those whose config.json does not say what they were are left out.

    Args:
        config: the configuration of the command.
        arguments: overrides of the command, which are the filters.
    """
    filters = read_filters(arguments, set(config.hydra.runtime.choices))
    runs = [run for run in find_runs(config.paths.runs) if run.state in _TO_RETRY and is_repeatable(run.config)]
    return matching(runs, filters)
