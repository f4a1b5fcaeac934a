"""How policies on learned rewards came to do under the true one."""

import csv
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mavrl.reports.figures.style import BLUE, GREY, INK, PAGE, VERMILLION, open_axes, sheet, styled, thousands
from mavrl.statistics import mean_and_stderr


@styled
def training_figure(curves: list[Path], final: list[float], expert: float | None, uniform: float, title: str) -> Figure:
    """Draw the true return during the training of each replicate's policy, and of the policies that were kept.

    With several replicates a line is their mean, in a band of one standard error to either side, as long as all of them
    train.

    Args:
        curves: paths of curve.csv, one for each trained policy.
        final: mean true return of each replicate's policy in the evaluation.
        expert, uniform: mean returns to compare with; None where there is no expert.
    """
    figure, (axes,) = sheet(1, 1, PAGE, 3.6)
    found = [_read(path) for path in curves]
    for number, (steps, returns) in enumerate(found):
        label = "in training, one line a replicate" if number == 0 else None
        alone = len(found) == 1
        axes.plot(steps, returns, color=BLUE, alpha=1.0 if alone else 0.4, linewidth=1.4 if alone else 0.8, label=label)
    last = max([1.0, *(steps[-1] for steps, _ in found)])
    axes.plot([last * 1.02] * len(final), final, "o", color=BLUE, markersize=5, label="kept, greedy", clip_on=False)
    for value, name, style in ((expert, "expert", "--"), (uniform, "uniform policy", ":")):
        if value is not None:
            axes.axhline(value, color=GREY if name == "expert" else INK, linestyle=style, linewidth=1.0, label=name)
    _draw_mean(axes, found)
    axes.set_xlim(0, last * 1.04)
    axes.xaxis.set_major_formatter(thousands)
    axes.set_xlabel("environment steps")
    axes.set_ylabel("true return")
    axes.set_title(title, pad=22)
    axes.legend(ncols=5, loc="lower left", bbox_to_anchor=(-0.01, 1.0), columnspacing=1.2, handlelength=1.6)
    open_axes(axes)
    return figure


def _read(path: Path) -> tuple[list[float], list[float]]:
    with path.open(newline="", encoding="utf-8") as table:
        rows = [(float(row["step"]), float(row["true_return"])) for row in csv.DictReader(table)]
    steps, returns = zip(*rows, strict=True)
    return list(steps), list(returns)


def _draw_mean(axes: Axes, found: list[tuple[list[float], list[float]]]) -> None:
    """The mean over replicates at the steps that all of them have, with its standard error."""
    shared = sorted(set.intersection(*(set(steps) for steps, _ in found))) if found else []
    if len(found) < 2 or not shared:
        return
    by_step = [dict(zip(steps, returns, strict=True)) for steps, returns in found]
    means, errors = zip(*(mean_and_stderr([each[step] for each in by_step]) for step in shared), strict=True)
    mean, error = np.array(means), np.array(errors)
    axes.fill_between(shared, mean - error, mean + error, color=VERMILLION, alpha=0.25, linewidth=0)
    axes.plot(shared, mean, color=VERMILLION, linewidth=2.0, label="mean ± stderr")
