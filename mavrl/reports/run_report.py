"""What a run prints at its end."""

from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from mavrl.metrics import METRICS


def print_metrics(metrics: dict[str, Any], directory: Path, remark: str = "") -> None:
    """A short table of the metrics, what is noteworthy, and the run directory as the last line."""
    protocol = metrics["protocol"]
    counts = ", ".join(f"{n} {kind}" for kind, n in metrics["n_samples"].items() if n)
    table = Table(
        title=f"{metrics['env']} {metrics['modality']}, {metrics['replicates']} replicates", title_justify="left"
    )
    table.add_column("metric")
    table.add_column("mean", justify="right")
    table.add_column("stderr", justify="right")
    for name, metric in METRICS.items():
        if name in metrics["mean"]:
            error = metrics["stderr"].get(name)
            table.add_row(metric.label, f"{metrics['mean'][name]:.3f}", "" if error is None else f"{error:.3f}")
    console = Console(highlight=False, soft_wrap=True)
    console.print(table)
    console.print(f"feedback: {counts}")
    if "comparison" in metrics:
        others = ", ".join(f"{name} {value:.1f}" for name, value in metrics["comparison"].items())
        console.print(f"normalized return of others: {others}")
    console.print("protocol: " + ", ".join(f"{key} {value}" for key, value in protocol.items()))
    seconds = metrics["seconds"]
    console.print("seconds: " + ", ".join(f"{key} {value:.1f}" for key, value in seconds.items()))
    if metrics.get("failed_replicates"):
        console.print(f"failed replicates, left out of the means: {metrics['failed_replicates']}")
    if remark:
        console.print(remark)
    print(directory)
