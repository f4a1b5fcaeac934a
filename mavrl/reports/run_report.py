"""What a run prints at its end."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from mavrl.metrics import HELD_OUT, METRICS
from mavrl.reports.annotators import print_annotators
from mavrl.reports.words import counted, counts_in_words, numbers_in_words, rounded, settings_in_words, with_error


def print_metrics(metrics: dict[str, Any], directory: Path | None, remark: str = "") -> None:
    """Print a short table of the metrics, what is noteworthy, and the run directory as the last line.

    The first line says of which kinds held-out labels were predicted no better than by a constant, if of any.

    Args:
        metrics: content of metrics.json.
        directory: the run directory; None where it is not kept.
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
    held_out = metrics.get("held_out", {})
    kinds = held_out.get("kinds", {})
    if worse := [_unclear(kind, found) for kind, found in kinds.items() if not found["better"]]:
        console.print(f"not better than a constant: {', '.join(worse)}")
    console.print(table if table.rows else title)
    if kinds:
        console.print(_held_out_table(held_out["folds"], kinds))
        for kind, found in kinds.items():
            if more := [f"{HELD_OUT[name]} {_number(name, found)}" for name in HELD_OUT if name in found["mean"]]:
                console.print(f"{kind}: {', '.join(more)}")
    if "left_out" in held_out:
        console.print(f"not judged by held-out labels: {held_out['left_out']}")
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
    if directory is not None:
        print(directory)


def _unclear(kind: str, found: Mapping[str, Any]) -> str:
    """A kind that is not better, and why it could not be: labels of one episode have no standard error."""
    return kind if "gain" in found["stderr"] else f"{kind} (all of one episode, which cannot tell)"


def _held_out_table(folds: int, kinds: Mapping[str, Mapping[str, Any]]) -> Table:
    """Log-likelihoods in nats a label: of the model, of a constant, and the difference."""
    table = Table(title=f"held-out labels, {folds} folds by episode", title_justify="left")
    table.add_column("nats a label")
    for name in ("labels", "model", "constant", "gain"):
        table.add_column(name, justify="right")
    for kind, found in kinds.items():
        numbers = [_number(name, found) for name in ("log_likelihood", "constant", "gain")]
        table.add_row(kind, str(found["labels"]), *numbers)
    return table


def _number(name: str, found: Mapping[str, Any]) -> str:
    return with_error(found["mean"][name], found["stderr"].get(name), 2)
