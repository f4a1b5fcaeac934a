"""What task=transfer and task=normalize print."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from rich.console import Console
from rich.table import Table

from mavrl.configuration.plain import written
from mavrl.metrics import METRICS, words_of
from mavrl.reports.words import numbers_in_words

_WHO = {
    "optimal": "optimal policy",
    "uniform": "uniform policy",
    "positive": "paid +1 at each step",
    "negative": "paid -1 at each step",
}


def print_transfer(result: Mapping[str, Any], path: Path) -> None:
    """Print a short table of the metrics under other dynamics, and the file that holds them as the last line.

    Args:
        result: content of the file.
    """
    table = _table(f"{result['env']} under {_dynamics(result['dynamics'])}", "metric")
    for name, mean in result["mean"].items():
        label = METRICS[name].label if name in METRICS else words_of(name)
        table.add_row(label, f"{mean:.3f}", _error(result["stderr"].get(name)))
    console = Console(highlight=False, soft_wrap=True)
    console.print(table)
    console.print(f"run: {result['run']}")
    if "normalization" in result:
        returns = {key: value for key, value in result["normalization"].items() if isinstance(value, float)}
        console.print(f"returns: {numbers_in_words(returns)}; optimal is {result['normalization']['optimal_is']}")
    if "episodes" in result:
        console.print(f"episodes of each policy: {result['episodes']}")
    print(path)


def print_normalization(
    env: str,
    returns: Mapping[str, float],
    stderr: Mapping[str, float],
    normalized: Mapping[str, float],
    how: str,
    environment: Mapping[str, Any],
) -> None:
    """Print a short table of returns, how they were measured, and what an environment's YAML can have of it.

    Args:
        env: name of the environment.
        returns: mean returns by name: optimal, uniform, positive, negative.
        stderr: standard errors of those that were sampled.
        normalized: the returns in percent; empty where nothing can be normalized by them.
        how: they were measured.
        environment: what tells the environment from others; empty where the YAML needs no constants.
    """
    table = _table(env, "policy", "normalized")
    for name, mean in returns.items():
        percent = f"{normalized[name]:.1f}" if normalized else "-"
        table.add_row(_WHO[name], f"{mean:.3f}", _error(stderr.get(name)), percent)
    console = Console(highlight=False, soft_wrap=True)
    console.print(table)
    console.print(f"measured {how}")
    if environment and normalized:
        print("for the environment's YAML file:")
        constants = {"constants": {**environment, **returns}}
        print(yaml.safe_dump(constants, default_flow_style=None, sort_keys=False, width=1000).rstrip())


def _table(title: str, subject: str, *more: str) -> Table:
    table = Table(title=title, title_justify="left")
    table.add_column(subject)
    for name in ("mean", "stderr", *more):
        table.add_column(name, justify="right")
    return table


def _error(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def _dynamics(changed: Mapping[str, Any]) -> str:
    inner = changed.get("perturbation", changed)
    return (
        ", ".join(f"{key}={written(value)}" for key, value in inner.items() if value is not None) or "its own dynamics"
    )
