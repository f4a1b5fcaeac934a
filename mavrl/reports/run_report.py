"""What a run prints at its end."""

from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from mavrl.metrics import METRICS
from mavrl.reports.annotators import print_annotators
from mavrl.reports.words import counted, counts_in_words, numbers_in_words, rounded, settings_in_words


def print_metrics(metrics: dict[str, Any], directory: Path, remark: str = "") -> None:
    """Print a short table of the metrics, what is noteworthy, and the run directory as the last line.

    Args:
        metrics: content of metrics.json.
        directory: the run directory.
        remark: what else is to be said; empty for nothing.
    """
    title = f"{metrics['env']} {metrics['modality']}, {counted(metrics['replicates'], 'replicate')}"
    table = Table(title=title, title_justify="left")
    table.add_column("metric")
    table.add_column("mean", justify="right")
    table.add_column("stderr", justify="right")
    for name, metric in METRICS.items():
        if name in metrics["mean"]:
            error = metrics["stderr"].get(name)
            table.add_row(metric.label, rounded(metrics["mean"][name], 3), "" if error is None else f"{error:.3f}")
    console = Console(highlight=False, markup=False, soft_wrap=True)
    console.print(table)
    if "annotators" in metrics:
        print_annotators(metrics["annotators"])
    console.print(f"feedback: {counts_in_words(metrics['n_samples'])}")
    if "comparison" in metrics:
        console.print(f"normalized return of others: {numbers_in_words(metrics['comparison'])}")
    console.print(f"protocol: {settings_in_words(metrics['protocol'])}")
    console.print(f"seconds: {numbers_in_words(metrics['seconds'])}")
    if metrics.get("failed_replicates"):
        console.print(f"failed replicates, left out of the means: {metrics['failed_replicates']}")
    if remark:
        console.print(remark)
    print(directory)
