"""What was predicted of answers against what was answered."""

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mavrl.reports.figures.style import BLUE, COLUMN, GREY, LIGHT, PAGE, SMALL, entitle, open_axes, sheet, styled

Bins = Sequence[Mapping[str, float]]
EVENTS = {
    "preference": ("that the first is preferred", "share in which it was"),
    "stop": ("that the segment is stopped", "share of stopped ones"),
}


@styled
def reliability_figure(bins: Mapping[str, Bins], errors: Mapping[str, float], title: str) -> Figure:
    """Draw the reliability of each kind: on the diagonal, things happen as often as is said.

    Args:
        bins: of each kind in `EVENTS`, rows with `low`, `high`, `count`, and the means `predicted` and `observed`.
        errors: expected calibration error of each kind.
        title: of the figure.
    """
    figure, panels = sheet(1, len(bins), COLUMN if len(bins) == 1 else PAGE, 3.4)
    for axes, (kind, rows) in zip(panels, bins.items(), strict=True):
        draw_reliability(axes, rows)
        said, happened = EVENTS[kind]
        axes.set_xlabel(f"probability {said}")
        axes.set_ylabel(happened)
        axes.set_title(f"{kind}: calibration error {errors[kind]:.3f}\n{axes.get_title(loc='left')}", fontsize=SMALL)
    entitle(figure, title)
    return figure


def draw_reliability(axes: Axes, rows: Bins) -> None:
    """Draw bins as points, whose area grows with how many answers they have; bars show that number, too."""
    total = sum(row["count"] for row in rows)
    most = max(row["count"] for row in rows)
    axes.bar(
        [(row["low"] + row["high"]) / 2 for row in rows],
        [0.25 * row["count"] / most for row in rows],
        [0.96 * (row["high"] - row["low"]) for row in rows],
        color=LIGHT,
        linewidth=0,
    )
    axes.plot([0, 1], [0, 1], color=GREY, linewidth=1.0, linestyle="--")
    predicted, observed = ([row[name] for row in rows] for name in ("predicted", "observed"))
    spread = [(row["observed"] * (1 - row["observed"]) / row["count"]) ** 0.5 for row in rows]
    axes.errorbar(predicted, observed, spread, color=BLUE, linewidth=1.0, elinewidth=0.8, alpha=0.8)
    axes.scatter(predicted, observed, [12 + 70 * row["count"] / most for row in rows], color=BLUE, zorder=3)
    axes.set_title(f"bars: how many of {total:g} labels", fontsize=SMALL)
    axes.set(xlim=(-0.03, 1.03), ylim=(-0.03, 1.03), aspect="equal")
    open_axes(axes)
