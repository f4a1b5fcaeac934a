"""How well held-out labels were predicted: the gain over a constant by kind, and how reliable probabilities are."""

from collections.abc import Mapping
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

_BLUE, _ORANGE, _GREY = "#0072b2", "#d55e00", "0.45"  # told apart by everybody; Okabe and Ito (2008)


def held_out_figure(kinds: Mapping[str, Mapping[str, Any]]) -> Figure:
    """Draw the gain of each kind with its standard error, and with preferences their reliability curve.

    Args:
        kinds: `held_out.kinds` of metrics.json.
    """
    bins = kinds.get("preference", {}).get("reliability")
    figure = Figure(figsize=(8.4 if bins else 4.4, 3.9), layout="constrained")
    if bins:
        left, right = figure.subplots(1, 2)
        _draw_reliability(right, bins)
    else:
        left = figure.subplots()
    _draw_gains(left, kinds)
    for axes in figure.axes:
        axes.spines[["top", "right"]].set_visible(False)
    return figure


def _draw_gains(axes: Axes, kinds: Mapping[str, Mapping[str, Any]]) -> None:
    for row, found in enumerate(kinds.values()):
        gain, error = found["mean"]["gain"], found["stderr"].get("gain", 0.0)
        colour, marker = (_BLUE, "o") if found["better"] else (_ORANGE, "X")
        axes.errorbar(gain, row, xerr=2 * error, color=colour, marker=marker, markersize=7, capsize=3, linewidth=1.4)
    axes.axvline(0.0, color=_GREY, linewidth=1.0, linestyle="--")
    axes.set_yticks(range(len(kinds)), list(kinds))
    axes.set_ylim(len(kinds) - 0.5, -0.5)
    axes.set_xlabel("gain over a constant, nats a label, ± 2 stderr")
    axes.set_title("held-out labels (cross: not better)", loc="left", fontsize=10)


def _draw_reliability(axes: Axes, bins: list[Mapping[str, float]]) -> None:
    axes.plot([0, 1], [0, 1], color=_GREY, linewidth=1.0, linestyle="--")
    predicted, observed = ([row[name] for row in bins] for name in ("predicted", "observed"))
    most = max(row["count"] for row in bins)
    axes.plot(predicted, observed, color=_BLUE, linewidth=1.0, alpha=0.4)
    axes.scatter(predicted, observed, [20 + 130 * row["count"] / most for row in bins], color=_BLUE, zorder=3)
    for row in bins:
        offset = (0, -17 if row["observed"] > 0.5 else 9)
        place = row["predicted"], row["observed"]
        style = {"textcoords": "offset points", "ha": "center", "fontsize": 8, "color": _GREY}
        axes.annotate(f"{row['count']:g}", place, offset, **style)
    axes.set_xlim(-0.05, 1.05)
    axes.set_ylim(-0.05, 1.05)
    axes.set_aspect("equal")
    axes.set_xlabel("predicted probability of the first segment")
    axes.set_ylabel("share that chose it")
    axes.set_title("preferences (area and number: how many)", loc="left", fontsize=10)
