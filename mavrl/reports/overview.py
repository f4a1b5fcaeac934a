"""What task=status prints."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.text import Text

from mavrl.reports.plain_table import Column, print_table
from mavrl.reports.progress import count_states, modality_order, runs_per_hour
from mavrl.reports.words import counted
from mavrl.storage.index import Run
from mavrl.storage.sweeps import Sweep

_COLOURS = {"pending": "", "running": "cyan", "interrupted": "yellow", "completed": "green", "failed": "red"}
_MOST_SWEEPS = 5


def print_overview(
    root: Path, runs: Sequence[Run], pending: Sequence[tuple[str, str]], sweeps: Sequence[Sweep], title: str
) -> None:
    """Print counts, progress and time left; then the cells, what failed or was interrupted, and the sweeps.

    Args:
        root: the folder of runs; directories are shown relative to it.
        runs: the runs that have begun.
        pending: environment and modality of each run that has not.
        sweeps: the sweeps that were recorded in the folder.
        title: what stands before the progress bar.
    """
    console = Console(highlight=False, markup=False, soft_wrap=True)
    counts = Counter(run.state for run in runs)
    counts["pending"] = len(pending)
    console.print(_progress_bar(title, counts["completed"], counts.total(), console.width))
    console.print(Text("   ").join(Text(f"{state} {counts[state]}", _COLOURS[state]) for state in _COLOURS))
    if speed := _throughput(runs, counts):
        console.print(speed)
    begun = [(run.choice("env") or "?", run.choice("modality") or "?", run.state) for run in runs]
    cells = count_states([*begun, *((env, modality, "pending") for env, modality in pending)])
    if len(cells) > 1:
        console.print()
        _print_cells(cells)
    asking = [run for run in runs if run.state == "running" and "rounds" in run.status]
    if asking:
        console.print("\nrounds of questions:")
    for run in asking:
        at = f"round {run.status['round']} of {run.status['rounds']}"
        console.print(_cropped(f"  {relative_path(run.path, root)}  {at}", console.width))
    for state, remark in (("failed", ""), ("interrupted", " (the same commands go on with them)")):
        found = [run for run in runs if run.state == state]
        if found:
            console.print(f"\n{state}{remark}:")
        for run in found:
            console.print(_cropped(f"  {relative_path(run.path, root)}  {run.status.get('error', '')}", console.width))
    if sweeps:
        console.print("\nsweeps (task.sweep=<id> shows one):")
    for sweep in sweeps[-_MOST_SWEEPS:]:
        console.print(_cropped(f"  {sweep.id}  {counted(len(sweep.runs), 'run')}  {sweep.command}", console.width))


def relative_path(path: Path, root: Path) -> str:
    """A run's directory as it is shown: relative to the folder of runs, where it is inside."""
    return str(path.relative_to(root)) if path.is_relative_to(root) else str(path)


def duration(seconds: float) -> str:
    """A length of time in words, to two units."""
    minutes = round(seconds / 60)
    if minutes < 1:
        return "less than a minute"
    hours, days = minutes // 60, minutes // 1440
    if days:
        return f"about {days} d {hours % 24} h"
    return f"about {hours} h {minutes % 60} min" if hours else f"about {minutes} min"


def _progress_bar(title: str, completed: int, total: int, width: int) -> Text:
    share = completed / total if total else 0.0
    words = f" {completed} of {total} completed ({100 * share:.0f} %)"
    length = max(10, min(40, width - len(title) - len(words) - 1))
    full = round(share * length)
    return Text.assemble(f"{title} ", ("━" * full, "green"), ("─" * (length - full), "dim"), words)


def _throughput(runs: Sequence[Run], counts: Counter[str]) -> str:
    speed, left = runs_per_hour(runs), counts["pending"] + counts["running"]
    if speed is None:
        return f"no run has ended yet; {left} to go" if left else ""
    rate = f"{speed:.0f}" if speed >= 10 else f"{speed:.1f}"
    hurry = f"; {duration(left / speed * 3600)} left for {left} pending or running" if left else ""
    return f"{rate} runs an hour{hurry}"


def _print_cells(states: dict[tuple[str, str], Counter[str]]) -> None:
    print("completed of all (! where some failed):")
    modalities = sorted({modality for _, modality in states}, key=modality_order)
    envs = dict.fromkeys(env for env, _ in states)
    rows = [[env, *(_completed_of_all(states.get((env, modality))) for modality in modalities)] for env in envs]
    print_table([Column(""), *(Column(modality, right=True) for modality in modalities)], rows)


def _completed_of_all(states: Counter[str] | None) -> str:
    if states is None:
        return ""
    return f"{states['completed']}/{states.total()}{'!' if states['failed'] else ''}"


def _cropped(text: str, width: int) -> str:
    line = " ".join(text.splitlines()).rstrip()
    return line if len(line) <= width else line[: width - 1] + "…"
