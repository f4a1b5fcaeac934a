"""Completed runs as cells of a table: what differs in nothing but seeds is one result."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from mavrl.results.index import Run
from mavrl.results.table import CellResult

_OF_LEARNER = ("env.termination", "env.replicates", "env.members", "env.feedback", "env.samples")
_OF_SEEDS = ("seed", "replicates", "choices", "overrides")


@dataclass(frozen=True)
class PooledRuns:
    """Runs of one cell with the same settings.

    Args:
        result: their values, each seed once.
        seeds: that there are.
        protocol: in metrics.json.
    """

    result: CellResult
    seeds: tuple[int, ...]
    protocol: dict[str, Any]


def pool_runs(runs: Iterable[Run]) -> tuple[list[PooledRuns], dict[tuple[str, str], int]]:
    """Cells with one configuration, and how many configurations the other cells have.

    A mean over different settings would say nothing about any of them, and taking the best would be a search.
    """
    cells: dict[tuple[str, str], dict[str, list[Run]]] = {}
    for run in runs:
        if run.metrics.get("final"):
            settings = cells.setdefault((run.metrics["env"], run.metrics["modality"]), {})
            settings.setdefault(_settings(run), []).append(run)
    pooled = [_pooled(next(iter(found.values()))) for found in cells.values() if len(found) == 1]
    return pooled, {cell: len(found) for cell, found in cells.items() if len(found) > 1}


def is_published_environment(overrides: Iterable[str]) -> bool:
    """Whether no override of a command line changes what the environment is."""
    keys = [override.partition("=")[0].lstrip("+") for override in overrides]
    return not any(key.startswith("env.") and not key.startswith(_OF_LEARNER) for key in keys)


def _settings(run: Run) -> str:
    return json.dumps({key: value for key, value in run.config.items() if key not in _OF_SEEDS}, sort_keys=True)


def _pooled(runs: Sequence[Run]) -> PooledRuns:
    values: dict[str, dict[int, float]] = {}
    for metrics in (run.metrics for run in runs):
        failed = metrics.get("failed_replicates", [])
        for metric, final in metrics["final"].items():
            kept = {metrics["seed"] + k: value for k, value in enumerate(final) if k not in failed}
            values.setdefault(metric, {}).update(kept)
    first, config = runs[0].metrics, runs[0].config
    result = CellResult(
        first["env"],
        config.get("env", {}).get("family", "grid"),
        first["modality"],
        {metric: list(by_seed.values()) for metric, by_seed in values.items() if by_seed},
        searched=False,
        n_samples=first["n_samples"],
        comparable=is_published_environment(config.get("overrides", [])),
    )
    return PooledRuns(result, tuple(sorted({seed for of in values.values() for seed in of})), first["protocol"])
