"""A table of results as colours, with the numbers in them."""

from typing import Any

import numpy as np
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from mavrl.reports.figures.style import PAGE, REWARDS, SMALL, sheet, styled
from mavrl.reports.table import Entry, Section

_DARK = 0.5  # part of the scale below which text is white
_MIDDLE = (0.05, 0.95)  # quantiles that the colours are spread between, so that a bad cell does not take all of them


@styled
def table_figure(section: Section, columns: tuple[str, ...], title: str) -> Figure:
    """Draw a metric of a table: a row for each environment, a column for each subset, means with their errors.

    Published and summarizing rows are left out. Lighter is better, whichever way the metric goes.

    Args:
        section: the rows of one metric.
        columns: subsets of feedback.
        title: of the figure.
    """
    lines = [line for line in section.lines if line.kind == "ours"]
    values = np.array([[_mean(line.entries.get(column)) for column in columns] for line in lines])
    low, high = np.nanquantile(values, _MIDDLE)
    norm = Normalize(low, max(high, low + 1e-9), clip=True)
    low_is_good = section.metric.direction == "minimize"
    colours = f"{REWARDS}_r" if low_is_good else REWARDS
    figure, (axes,) = sheet(1, 1, min(PAGE, 1.4 + 0.6 * len(columns)), 0.9 + 0.4 * len(lines))
    axes.pcolormesh(np.ma.masked_invalid(values), norm=norm, cmap=colours, edgecolor="white", linewidth=1.0)
    for row, line in enumerate(lines):
        for place, column in enumerate(columns):
            if (entry := line.entries.get(column)) is not None:
                part = float(norm(entry.mean))
                dark = (1 - part if low_is_good else part) < _DARK
                words = _words(entry, section.metric.digits)
                style: dict[str, Any] = {"ha": "center", "va": "center", "color": "white" if dark else "black"}
                axes.text(place + 0.5, row + 0.5, words, fontsize=SMALL, linespacing=1.0, **style)
    axes.set_xticks(np.arange(len(columns)) + 0.5, columns)
    axes.set_yticks(np.arange(len(lines)) + 0.5, [line.label for line in lines])
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.invert_yaxis()
    axes.set_xlabel("subset of feedback; lighter is better")
    axes.set_title(title)
    return figure


def _mean(entry: Entry | None) -> float:
    return np.nan if entry is None else entry.mean


def _words(entry: Entry, digits: int) -> str:
    mark = "†" if entry.searched else ""
    error = "" if entry.stderr is None else f"±{entry.stderr:.{digits}f}"
    error = error.replace("±0.", "±.") if digits > 2 else error  # as narrow as a cell
    return f"{entry.mean:.{digits}f}{mark}\n{error}".rstrip()
