"""Runs that are run again: from what their directories say, not from the commands that asked for them."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from mavrl.results.filters import matching, read_filters
from mavrl.results.index import Run, find_runs
from mavrl.results.leaves import leaves

_GROUPS = ("env", "modality", "model", "optim", "trainer", "policy")
_TO_RETRY = ("failed", "interrupted")


def overrides_of(config: Mapping[str, Any]) -> list[str]:
    """The command line of a run, from the content of its config.json: its groups, and every value explicitly.

    The experiment that chose them is not needed, so this also repeats what a search has drawn.
    """
    groups = [f"{name}={config['choices'][name]}" for name in _GROUPS]
    values = {key: value for key, value in config.items() if key not in ("choices", "overrides", "evaluation_episodes")}
    settings = {key: value for key, value in leaves(values).items() if not key.endswith("._target_")}
    if "evaluation_episodes" in config:
        settings["evaluation.episodes"] = config["evaluation_episodes"]
    return groups + [f"++{key}={_written(value)}" for key, value in settings.items()]


def at(directory: Path) -> list[str]:
    """The overrides that make a job run in this directory."""
    return [f"hydra.sweep.dir={directory.parent}", f"hydra.sweep.subdir={directory.name}"]


def runs_to_retry(config: DictConfig, arguments: Iterable[str]) -> list[Run]:
    """Runs below paths.runs that failed or were cut off, of which the command's filters are true."""
    filters = read_filters(arguments, set(config.hydra.runtime.choices))
    runs = [run for run in find_runs(config.paths.runs) if run.state in _TO_RETRY and run.config.get("choices")]
    return matching(runs, filters)


def _written(value: Any) -> str:
    """A value in the grammar of overrides, in which the keys of mappings have no quotes."""
    if isinstance(value, dict):
        return "{" + ",".join(f"{key}:{_written(child)}" for key, child in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(_written, value)) + "]"
    return json.dumps(value)
