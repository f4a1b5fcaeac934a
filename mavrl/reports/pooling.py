"""Completed runs as cells of a table: what differs in nothing but seeds is one result."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from mavrl.configuration.identity import changes_environment, settings_but_seeds
from mavrl.reports.table import CellResult
from mavrl.storage.index import Run


@dataclass(frozen=True)
class PooledRuns:
    """Runs of one cell with the same settings.

    Args:
        result: values of the runs, each seed once.
        seeds: seeds that there are values of, in order.
        protocol: how the values came about, as in metrics.json.
    """

    result: CellResult
    seeds: tuple[int, ...]
    protocol: dict[str, Any]


def pool_runs(runs: Iterable[Run]) -> tuple[list[PooledRuns], dict[tuple[str, str], int]]:
    """Pool the runs of each cell that has one configuration, and count the configurations of the other cells.

    A mean over different settings would say nothing about any of them, and taking the best would be a search.
    """
    cells: dict[tuple[str, str], dict[str, list[Run]]] = {}
    for run in runs:
        if run.metrics.get("final"):
            settings = cells.setdefault((run.metrics["env"], run.metrics["modality"]), {})
            settings.setdefault(_settings_key(run), []).append(run)
    pooled = [_pool(next(iter(found.values()))) for found in cells.values() if len(found) == 1]
    return pooled, {cell: len(found) for cell, found in cells.items() if len(found) > 1}


def _settings_key(run: Run) -> str:
    return json.dumps(settings_but_seeds(run.config), sort_keys=True)


def _pool(runs: Sequence[Run]) -> PooledRuns:
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
        comparable=not changes_environment(config.get("overrides", [])),
    )
    seeds = {seed for by_seed in values.values() for seed in by_seed}
    return PooledRuns(result, tuple(sorted(seeds)), first["protocol"])
