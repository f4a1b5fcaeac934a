"""Runs that are run again: from what their directories say, not from the commands that asked for them."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from mavrl.configuration.identity import is_execution, is_repeatable, repeating
from mavrl.configuration.plain import quoted
from mavrl.configuration.trust import check_trust
from mavrl.errors import StorageError
from mavrl.storage.filters import matching, read_filters
from mavrl.storage.index import Run, find_runs

_TO_RETRY = ("failed", "interrupted")


def directory_overrides(directory: Path) -> list[str]:
    """The overrides that make a job run in a directory."""
    return [f"hydra.sweep.dir={quoted(str(directory.parent))}", f"hydra.sweep.subdir={quoted(directory.name)}"]


def result_overrides(content: Mapping[str, Any]) -> list[str]:
    """The overrides that repeat the run of a config.json, and change nothing else, whatever that file says."""
    return [word for word in repeating(content) if not is_execution(word)]


def run_overrides(command: DictConfig, run: Run) -> list[str]:
    """The overrides that repeat a run.

    Args:
        command: the configuration of the command.

    Raises:
        ConfigurationError: the run names code that the command does not trust.
        StorageError: its config.json is damaged.
    """
    environment = run.config.get("env")
    check_trust(command, environment.get("id") if isinstance(environment, dict) else None, run.path)
    try:
        return result_overrides(run.config)
    except (AttributeError, KeyError, TypeError) as error:
        raise StorageError(f"{run.path / 'config.json'}: damaged; it does not say what the run was") from error


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
