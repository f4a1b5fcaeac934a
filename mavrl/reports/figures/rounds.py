"""What more labels gave: the return and the likelihood of held-out answers against questions asked."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mavrl.metrics import METRICS
from mavrl.reports.figures.style import COLUMN, PAGE, SMALL, entitle, line_style, open_axes, sheet, styled
from mavrl.statistics import mean_and_stderr

Rows = Sequence[Mapping[str, float]]  # a row a round, as `rounds` of metrics.json has them
_HELD_OUT, _LABELS = "held_out_", "labels_"


@dataclass(frozen=True)
class Curve:
    """A quantity against the number of labels.

    Args:
        labels: so many of them, on average, shape (N,).
        mean: of the quantity.
        stderr: its standard error; NaN where there is none.
    """

    labels: np.ndarray
    mean: np.ndarray
    stderr: np.ndarray


@styled
def rounds_figure(runs: Mapping[str, Sequence[Rows]], title: str) -> Figure:
    """Draw a panel for each quantity, with a line for each query rule.

    Args:
        runs: the rounds of each run, by the name of the rule that asked. Several runs of one rule are a mean with a
            band of one standard error to either side.
        title: of the figure.
    """
    names = list(dict.fromkeys(name for each in runs.values() for rows in each for row in rows for name in row))
    shown = [name for name in names if name != "round" and not name.startswith(_LABELS)]
    shown.sort(key=lambda name: name.startswith(_HELD_OUT))  # the returns first
    if not shown:
        raise ValueError("no round says how good it was")
    columns = 2 if len(shown) in (2, 4) else min(3, len(shown))
    figure, panels = sheet(-(-len(shown) // columns), columns, PAGE if columns > 1 else COLUMN + 0.6,
                           0.7 + 2.1 * -(-len(shown) // columns))  # fmt: skip
    for axes, name in zip(panels, shown, strict=False):
        for number, (rule, each) in enumerate(runs.items()):
            draw_curve(axes, curve_of(each, name), rule, number)
        axes.set_title(_words(name), fontsize=SMALL)
        axes.set_xlabel("labels")
        open_axes(axes)
    for axes in panels[len(shown) :]:
        axes.set_visible(False)
    if len(runs) > 1:
        figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
    entitle(figure, title)
    return figure


def curve_of(runs: Sequence[Rows], name: str) -> Curve:
    """A quantity in the rounds of several runs that asked alike."""
    values: dict[int, list[tuple[float, float]]] = {}
    labels: dict[tuple[int, int], float] = {}
    for number, rows in enumerate(runs):
        total = 0.0
        for k, row in enumerate(rows):
            total += sum(value for key, value in row.items() if key.startswith(_LABELS))
            labels[number, k] = total
            if name in row:
                values.setdefault(k, []).append((total, row[name]))
    found = [(np.mean([n for n, _ in pairs]), *mean_and_stderr([x for _, x in pairs])) for pairs in values.values()]
    columns = np.array([[np.nan if x is None else x for x in row] for row in found], dtype=float).reshape(-1, 3)
    return Curve(*columns.T)


def draw_curve(axes: Axes, curve: Curve, label: str, number: int) -> None:
    """Draw a line with its band, in the style of its number."""
    style = line_style(number)
    if np.isfinite(curve.stderr).any():
        band = curve.mean - curve.stderr, curve.mean + curve.stderr
        axes.fill_between(curve.labels, *band, color=style["color"], alpha=0.2, linewidth=0)
    axes.plot(curve.labels, curve.mean, label=label, **style)


def _words(name: str) -> str:
    if name.startswith(_HELD_OUT):
        return f"held-out {name.removeprefix(_HELD_OUT)}, nats a label"
    return METRICS[name].words if name in METRICS else name.replace("_", " ")
