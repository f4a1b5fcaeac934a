"""What task=list and task=show print."""

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from mavrl.metrics import METRICS, Metric
from mavrl.reports.overview import print_wide, relative
from mavrl.reports.progress import instant, modality_order
from mavrl.storage.index import Run

_UNITS = ("B", "kB", "MB", "GB", "TB")


def print_runs(runs: Sequence[Run], root: Path) -> None:
    """One row for each run, in the width that it needs."""
    listed = [metric for metric in METRICS.values() if metric.listed]
    table = Table(box=None, padding=(0, 1), pad_edge=False)
    for name in ("env", "modality"):
        table.add_column(name, no_wrap=True)
    for name in ("seed", "replicates"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("state", no_wrap=True)
    for metric in listed:
        table.add_column(metric.words, justify="right", no_wrap=True)
    for name in ("when", "directory"):
        table.add_column(name, no_wrap=True)
    for run in runs:
        table.add_row(
            run.choice("env") or "?",
            run.choice("modality") or "?",
            *(str(run.config.get(key, "?")) for key in ("seed", "replicates")),
            run.state,
            *(_with_error(run, metric) for metric in listed),
            _when(run.status.get("ended") or run.status.get("started"))[:16],
            relative(run.path, root),
        )
    print_wide(table)


def sort_runs(runs: Sequence[Run], by: str) -> list[Run]:
    """Runs in an order that `task.sort` names: metrics best first, times oldest first, what has no value last."""
    order = _ORDERS[by] if by in _ORDERS else _metric_order(METRICS[by])
    return sorted(runs, key=lambda run: (*order(run), *_default_order(run)))


def print_run(run: Run) -> None:
    """All about one run."""
    console = Console(highlight=False, markup=False, soft_wrap=True)
    status, metrics = run.status, run.metrics
    seconds = metrics.get("seconds", {})
    facts = {
        "state": run.state,
        "error": status.get("error"),
        "started": _when(status.get("started")),
        "ended": _when(status.get("ended")),
        "seconds": ", ".join(f"{name} {value:.1f}" for name, value in seconds.items()),
        "host": f"{status['host']}, process {status.get('pid')}" if "host" in status else None,
        "groups": ", ".join(f"{k}={v}" for k, v in run.config.get("choices", {}).items() if "@" not in k),
        "overrides": " ".join(run.config.get("overrides", [])) or "none",
        "seeds": _seeds(run.config),
        "feedback": ", ".join(f"{n} {kind}" for kind, n in _counts(run).items() if n),
        "protocol": ", ".join(f"{key} {value}" for key, value in metrics.get("protocol", {}).items()),
        "failed replicates": ", ".join(map(str, metrics.get("failed_replicates", []))),
        "others' returns": ", ".join(f"{name} {value:.1f}" for name, value in metrics.get("comparison", {}).items()),
    }
    length = max(len(name) for name, value in facts.items() if value)
    for name, value in facts.items():
        if value:
            console.print(f"{name:<{length}}  {value}")
    if metrics:
        console.print()
        Console(highlight=False, markup=False).print(_metrics_table(metrics))
    console.print("\nfiles:")
    for path in sorted(p for p in run.path.rglob("*") if p.is_file() and p.name != ".lock"):
        console.print(f"  {size(path.stat().st_size):>9}  {path.relative_to(run.path)}")
    print(run.path)


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


def _counts(run: Run) -> dict[str, int]:
    if "n_samples" in run.metrics:
        return run.metrics["n_samples"]
    return {kind: settings.get("n_samples", 0) for kind, settings in run.config.get("feedback", {}).items()}


def _seeds(config: dict[str, Any]) -> str:
    first, number = config.get("seed"), config.get("replicates")
    if not isinstance(first, int) or not isinstance(number, int):
        return ""
    return str(first) if number == 1 else f"{first} to {first + number - 1}"


def _when(text: object) -> str:
    """A time of status.json in this machine's time zone."""
    time = instant(text)
    return "" if time is None else time.astimezone().strftime("%Y-%m-%d %H:%M:%S")


def _mean(run: Run, metric: str) -> float | None:
    value = run.metrics.get("mean", {}).get(metric)
    return value if isinstance(value, (int, float)) and math.isfinite(value) else None


def _with_error(run: Run, metric: Metric) -> str:
    mean, error, digits = _mean(run, metric.name), run.metrics.get("stderr", {}).get(metric.name), metric.digits
    if mean is None:
        return ""
    return f"{mean:.{digits}f}" if error is None else f"{mean:.{digits}f} ± {error:.{digits}f}"


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
    "when": lambda run: (_when(run.status.get("ended") or run.status.get("started")),),
}
