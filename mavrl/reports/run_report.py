"""What a run prints at its end."""

from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from mavrl.reports.annotators import print_annotators
from mavrl.reports.run_tables import held_out_rows, held_out_sentences, metric_rows, no_better_than_constant, run_facts
from mavrl.reports.words import counted


def print_metrics(metrics: dict[str, Any], directory: Path | None, remark: str = "") -> None:
    """Print a short table of the metrics, what is noteworthy, and the run directory as the last line.

    The first line says of which kinds held-out labels were predicted no better than by a constant, if of any.

    Args:
        metrics: content of metrics.json.
        directory: the run directory; None where it is not kept.
        remark: what else is to be said; empty for nothing.
    """
    title = f"{metrics['env']} {metrics['modality']}, {counted(metrics['replicates'], 'replicate')}"
    console = Console(highlight=False, markup=False, soft_wrap=True)
    held_out = metrics.get("held_out", {})
    if worse := no_better_than_constant(held_out):
        console.print(worse)
    rows = metric_rows(metrics)
    console.print(_table(title, "metric", ("mean", "stderr"), rows) if rows else title)
    if rows := held_out_rows(held_out.get("kinds", {})):
        title = f"held-out labels, {held_out['folds']} folds by episode"
        console.print(_table(title, "nats a label", ("labels", "model", "constant", "gain"), rows))
    for sentence in held_out_sentences(held_out):
        console.print(sentence)
    if "annotators" in metrics:
        print_annotators(metrics["annotators"])
    for name, value in run_facts(metrics).items():
        console.print(f"{name}: {value}")
    if remark:
        console.print(remark)
    if directory is not None:
        print(directory)


def _table(title: str, subject: str, numbers: tuple[str, ...], rows: list[list[str]]) -> Table:
    table = Table(title=title, title_justify="left")
    table.add_column(subject)
    for name in numbers:
        table.add_column(name, justify="right")
    for row in rows:
        table.add_row(*row)
    return table
