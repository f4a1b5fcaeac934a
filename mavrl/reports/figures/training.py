"""How policies on learned rewards came to do under the true one."""

import csv
from pathlib import Path

from matplotlib.figure import Figure

_COLOUR, _GREY = "#2b6cb0", "0.45"


def training_figure(curves: list[Path], final: list[float], expert: float | None, uniform: float, title: str) -> Figure:
    """Draw the true return during the training of each replicate's policy, and of the policies that were kept.

    Args:
        curves: paths of curve.csv, one for each trained policy.
        final: mean true return of each replicate's policy in the evaluation.
        expert, uniform: mean returns to compare with; None where there is no expert.
    """
    figure = Figure(figsize=(7.2, 4.2), layout="constrained")
    axes = figure.subplots()
    last = 1.0
    for number, path in enumerate(curves):
        with path.open(newline="", encoding="utf-8") as table:
            rows = [(float(row["step"]), float(row["true_return"])) for row in csv.DictReader(table)]
        steps, returns = zip(*rows, strict=True)
        last = max(last, steps[-1])
        label = "in training, one line a replicate" if number == 0 else None
        axes.plot(steps, returns, color=_COLOUR, alpha=0.55, linewidth=1.2, label=label)
    axes.plot([last * 1.02] * len(final), final, "o", color=_COLOUR, markersize=5, label="kept, greedy", clip_on=False)
    for value, name, style in ((expert, "expert", "--"), (uniform, "uniform policy", ":")):
        if value is not None:
            axes.axhline(value, color=_GREY, linestyle=style, linewidth=1.0, label=name)
    axes.set_xlim(0, last * 1.04)
    axes.xaxis.set_major_formatter(lambda x, _: f"{x / 1000:g} k" if x else "0")
    axes.set_xlabel("environment steps")
    axes.set_ylabel("true return")
    axes.set_title(title, loc="left", fontsize=10)
    axes.legend(frameon=False, fontsize=8)
    axes.spines[["top", "right"]].set_visible(False)
    return figure
