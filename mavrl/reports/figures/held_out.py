"""How well held-out labels were predicted: the gain over a constant by kind, and how reliable probabilities are."""

from collections.abc import Mapping
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mavrl.reports.figures.reliability import draw_reliability
from mavrl.reports.figures.style import BLUE, COLUMN, GREY, PAGE, SMALL, VERMILLION, open_axes, sheet, styled


@styled
def held_out_figure(kinds: Mapping[str, Mapping[str, Any]]) -> Figure:
    """Draw the gain of each kind with its standard error, and with preferences their reliability curve.

    Args:
        kinds: `held_out.kinds` of metrics.json.
    """
    bins = kinds.get("preference", {}).get("reliability")
    figure, (left, *others) = sheet(1, 2 if bins else 1, PAGE if bins else COLUMN + 0.5, 3.4)
    _draw_gains(left, kinds)
    open_axes(left)
    for axes in others:
        assert bins is not None
        draw_reliability(axes, bins)
        axes.set_xlabel("predicted probability of the first segment")
        axes.set_ylabel("share that chose it")
        axes.set_title(f"preferences; {axes.get_title(loc='left')}", fontsize=SMALL)
    return figure


def _draw_gains(axes: Axes, kinds: Mapping[str, Mapping[str, Any]]) -> None:
    for row, found in enumerate(kinds.values()):
        gain, error = found["mean"]["gain"], found["stderr"].get("gain", 0.0)
        colour, marker = (BLUE, "o") if found["better"] else (VERMILLION, "X")
        axes.errorbar(gain, row, xerr=2 * error, color=colour, marker=marker, markersize=7, capsize=3, linewidth=1.4)
    axes.axvline(0.0, color=GREY, linewidth=1.0, linestyle="--")
    axes.set_yticks(range(len(kinds)), list(kinds))
    axes.set_ylim(len(kinds) - 0.5, -0.5)
    axes.set_xlabel("gain over a constant, nats a label, ± 2 stderr")
    axes.set_title("held-out labels (cross: not better)", fontsize=SMALL)
