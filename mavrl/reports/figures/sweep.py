"""The figures of the runs of a sweep that take nothing but their metrics: tables, learning curves, query rules."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from mavrl.metrics import METRICS
from mavrl.reports.figures.budgets import budget_figure
from mavrl.reports.figures.heat_map import table_figure
from mavrl.reports.figures.rounds import Curve, rounds_figure
from mavrl.reports.pooling import PooledRuns, pool_runs
from mavrl.reports.progress import modality_order
from mavrl.reports.table import result_table
from mavrl.statistics import mean_and_stderr
from mavrl.storage.index import Run

_LEARNING = ("normalized_return", "mean_return", "epic_distance", "spearman")  # of which the first two have curves


def sweep_figures(runs: Sequence[Run]) -> Iterator[tuple[str, Figure]]:
    """Figures of completed runs by name: those that there is something to show in.

    `table_<metric>` where there are several subsets of feedback or environments; `budgets_<env>` where runs of a subset
    differ in how many labels they have; `queries_<env>` where runs ask in rounds.
    """
    counted = _by_count(runs)
    most = _of_most_labels(counted)
    table = result_table([each.result for each in most], with_published=False)
    for section in table.sections:
        lines = [line for line in section.lines if line.kind == "ours"]
        columns = tuple(name for name in table.columns if any(name in line.entries for line in lines))
        if len(lines) * len(columns) > 2:
            yield f"table_{section.metric.name}", table_figure(section, columns, section.metric.label)
    for env, curves in _curves(counted).items():
        metrics = [name for name in _LEARNING if any(name in each for each in curves.values())]
        yield f"budgets_{env}", budget_figure(curves, metrics[:2], env)
    for env, rules in _rules(runs).items():
        yield f"queries_{env}", rounds_figure(rules, env)


def labels_of(run: Run) -> int:
    """Labels of all kinds that a run has learned from."""
    return sum(run.metrics["n_samples"].values())


def _by_count(runs: Sequence[Run]) -> dict[int, list[PooledRuns]]:
    """Pooled runs by their number of labels; cells whose runs differ in other settings are left out."""
    groups: dict[int, list[Run]] = defaultdict(list)
    for run in runs:
        groups[labels_of(run)].append(run)
    return {count: pool_runs(group)[0] for count, group in sorted(groups.items())}


def _of_most_labels(counted: dict[int, list[PooledRuns]]) -> list[PooledRuns]:
    """Of each cell, the result with most labels."""
    cells = {(each.result.env, each.result.modality): each for _, group in counted.items() for each in group}
    return list(cells.values())


def _curves(counted: dict[int, list[PooledRuns]]) -> dict[str, dict[str, dict[str, Curve]]]:
    """Of each environment, subset and metric, of subsets that have several numbers of labels."""
    points: dict[tuple[str, str], dict[str, list[tuple[Any, ...]]]] = defaultdict(lambda: defaultdict(list))
    for count, group in counted.items():
        for result in (each.result for each in group):
            for metric in METRICS:
                if result.values.get(metric):
                    row = (count, *mean_and_stderr(result.values[metric]))
                    points[result.env, result.modality][metric].append(row)
    found: dict[str, dict[str, dict[str, Curve]]] = defaultdict(dict)
    for (env, modality), metrics in sorted(points.items(), key=lambda item: (item[0][0], modality_order(item[0][1]))):
        curves = {metric: Curve(*np.array(rows, dtype=float).T) for metric, rows in metrics.items() if len(rows) > 1}
        if curves:
            found[env][modality] = curves
    return dict(found)


def _rules(runs: Sequence[Run]) -> dict[str, dict[str, list[list[dict[str, float]]]]]:
    """The rounds of runs by environment, and by subset and query rule."""
    found: dict[str, dict[str, list[Any]]] = defaultdict(lambda: defaultdict(list))
    asking = [run for run in runs if run.metrics.get("rounds")]
    several = len({run.metrics["modality"] for run in asking}) > 1
    for run in asking:
        rule = (run.choice("query") or "a query rule").replace("_", " ")
        found[run.metrics["env"]][f"{run.metrics['modality']} {rule}" if several else rule].append(
            run.metrics["rounds"]
        )
    return {env: dict(rules) for env, rules in found.items()}
