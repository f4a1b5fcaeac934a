"""What task=list and task=show print."""

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from mavrl.metrics import METRICS, Metric
from mavrl.reports.annotators import print_annotators
from mavrl.reports.overview import relative_path
from mavrl.reports.plain_table import Column, TextTable, print_table
from mavrl.reports.progress import modality_order, read_time
from mavrl.reports.relative import relative_returns
from mavrl.reports.variation import plain_settings, settings_as_overrides, varying_settings
from mavrl.reports.words import counts_in_words, numbers_in_words, settings_in_words, with_error
from mavrl.storage.index import Run

_UNITS = ("B", "kB", "MB", "GB", "TB")


def print_runs(runs: Sequence[Run], root: Path) -> None:
    """Print what `runs_table` makes, in the width that it needs."""
    table = runs_table(runs, root)
    print_table(table.columns, table.rows)


def runs_table(runs: Sequence[Run], root: Path) -> TextTable:
    """One row for each run, with the settings that tell runs of one cell apart; its directory is the last entry.

    Args:
        runs: the runs, in the order of the rows.
        root: the folder of runs; directories are shown relative to it.
    """
    listed = [metric for metric in METRICS.values() if metric.listed]
    cells = [(run.choice("env") or "?", run.choice("modality") or "?") for run in runs]
    varied = varying_settings([plain_settings(run.config) for run in runs], cells)
    relative = relative_returns(runs)
    beside = any(relative)  # an agent on the true reward
    rows = [
        [
            *cell,
            *(str(run.config.get(key, "?")) for key in ("seed", "replicates")),
            run.state,
            *(_result(run, metric) for metric in listed),
            *([with_error(*percent, 0) if percent else ""] if beside else []),
            _local_time(run.status.get("ended") or run.status.get("started"))[:16],
            settings_as_overrides(settings),
            relative_path(run.path, root),
        ]
        for run, cell, settings, percent in zip(runs, cells, varied, relative, strict=True)
    ]
    return TextTable(
        [
            *(Column("env"), Column("modality"), Column("seed", right=True), Column("replicates", right=True)),
            Column("state"),
            *(Column(metric.words, right=True) for metric in listed),
            *([Column("% of true reward", right=True)] if beside else []),
            *(Column("when"), Column("varied"), Column("directory")),
        ],
        rows,
    )


def sort_runs(runs: Sequence[Run], by: str) -> list[Run]:
    """Sort runs as `task.sort` says: metrics best first, times oldest first, what has no value last."""
    order = _ORDERS[by] if by in _ORDERS else _metric_order(METRICS[by])
    return sorted(runs, key=lambda run: (*order(run), *_default_order(run)))


def print_run(run: Run) -> None:
    """Print all that is known about one run, its directory as the last line."""
    console = Console(highlight=False, markup=False, soft_wrap=True)
    metrics, facts = run.metrics, run_facts(run)
    length = max(map(len, facts))
    for name, value in facts.items():
        console.print(f"{name:<{length}}  {value}")
    if metrics:
        console.print()
        Console(highlight=False, markup=False).print(_metrics_table(metrics))
    if "annotators" in metrics:
        console.print()
        print_annotators(metrics["annotators"])
    console.print("\nfiles:")
    for path in sorted(p for p in run.path.rglob("*") if p.is_file() and p.name != ".lock"):
        console.print(f"  {size(path.stat().st_size):>9}  {path.relative_to(run.path)}")
    print(run.path)


def run_facts(run: Run) -> dict[str, str]:
    """What is known of a run besides its metrics, by name; what is not known is left out."""
    status, metrics = run.status, run.metrics
    facts = {
        "state": run.state,
        "error": status.get("error"),
        "started": _local_time(status.get("started")),
        "ended": _local_time(status.get("ended")),
        "seconds": numbers_in_words(metrics.get("seconds", {})),
        "host": f"{status['host']}, process {status.get('pid')}" if "host" in status else None,
        "groups": ", ".join(f"{k}={v}" for k, v in run.config.get("choices", {}).items() if "@" not in k),
        "overrides": " ".join(run.config.get("overrides", [])) or "none",
        "seeds": _seed_range(run.config),
        "feedback": counts_in_words(_n_samples(run)),
        "protocol": settings_in_words(metrics.get("protocol", {})),
        "failed replicates": ", ".join(map(str, metrics.get("failed_replicates", []))),
        "others' returns": numbers_in_words(metrics.get("comparison", {})),
    }
    return {name: value for name, value in facts.items() if value}


def size(n_bytes: int) -> str:
    """Bytes in a unit that suits them."""
    if n_bytes < 1000:
        return f"{n_bytes} B"
    power = min(int(math.log10(n_bytes) / 3), len(_UNITS) - 1)
    value = n_bytes / 1000**power
    return f"{value:.0f} {_UNITS[power]}" if value >= 100 else f"{value:.1f} {_UNITS[power]}"


def _metrics_table(metrics: dict[str, Any]) -> Table:
    table = Table(box=None, padding=(0, 1), pad_edge=False, header_style="bold")
    table.add_column("metric", no_wrap=True)
    table.add_column("mean", justify="right", no_wrap=True)
    table.add_column("stderr", justify="right", no_wrap=True)
    table.add_column("of each replicate")
    for name, mean in metrics.get("mean", {}).items():
        error = metrics.get("stderr", {}).get(name)
        values = " ".join(f"{value:.4g}" for value in metrics.get("final", {}).get(name, []))
        table.add_row(name, f"{mean:.3f}", "" if error is None else f"{error:.3f}", values)
    return table


def _n_samples(run: Run) -> dict[str, int]:
    if "n_samples" in run.metrics:
        return run.metrics["n_samples"]
    return {kind: settings.get("n_samples", 0) for kind, settings in run.config.get("feedback", {}).items()}


def _seed_range(config: dict[str, Any]) -> str:
    first, number = config.get("seed"), config.get("replicates")
    if not isinstance(first, int) or not isinstance(number, int):
        return ""
    return str(first) if number == 1 else f"{first} to {first + number - 1}"


def _local_time(text: object) -> str:
    """A time of status.json in this machine's time zone, without its fraction; empty when there is none."""
    time = read_time(text)
    return "" if time is None else time.astimezone().strftime("%Y-%m-%d %H:%M:%S")


def _mean(run: Run, metric: str) -> float | None:
    value = run.metrics.get("mean", {}).get(metric)
    return value if isinstance(value, (int, float)) and math.isfinite(value) else None


def _result(run: Run, metric: Metric) -> str:
    mean = _mean(run, metric.name)
    return "" if mean is None else with_error(mean, run.metrics.get("stderr", {}).get(metric.name), metric.digits)


def _metric_order(metric: Metric) -> Callable[[Run], tuple]:
    sign = -1 if metric.direction == "maximize" else 1

    def order(run: Run) -> tuple:
        mean = _mean(run, metric.name)
        return (mean is None, 0.0 if mean is None else sign * mean)

    return order


def _default_order(run: Run) -> tuple:
    seed = run.config.get("seed")
    modality = modality_order(run.choice("modality") or "")
    return (run.choice("env") or "", modality, seed if isinstance(seed, int) else -1, str(run.path))


_ORDERS: dict[str, Callable[[Run], tuple]] = {
    "env": lambda run: (run.choice("env") or "",),
    "modality": lambda run: (modality_order(run.choice("modality") or ""),),
    "seed": lambda run: (run.config.get("seed", -1),),
    "state": lambda run: (run.state,),
    "when": lambda run: (_local_time(run.status.get("ended") or run.status.get("started")),),
}
