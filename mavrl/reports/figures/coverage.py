"""How often the posterior's intervals hold the truth."""

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure

from mavrl.reports.figures.style import BLUE, COLUMN, GREY, line_style, open_axes, sheet, styled


@styled
def coverage_figure(
    levels: Float[np.ndarray, "L"],
    coverage: Float[np.ndarray, "R L"],
    of: str,
    title: str,
    others: Mapping[str, Float[np.ndarray, "L"]] = MappingProxyType({}),
) -> Figure:
    """Draw the share of true rewards in central intervals against their probability: below the diagonal is too sure.

    Args:
        levels: probabilities of the intervals.
        coverage: share of true rewards in them, one row a replicate.
        of: whose rewards they are, such as "states".
        title: of the figure.
        others: shares of what else has a true value and intervals, by its name.
    """
    figure, (axes,) = sheet(1, 1, COLUMN, 3.4)
    axes.plot([0, 1], [0, 1], color=GREY, linewidth=1.0, linestyle="--", label="as wide as it should be")
    if len(coverage) > 1:
        axes.fill_between(
            levels, coverage.min(0), coverage.max(0), color=BLUE, alpha=0.25, linewidth=0, label="all replicates"
        )
    axes.plot(levels, coverage.mean(0), "o-", color=BLUE, label=_label(of, len(coverage) > 1, others))
    for number, (name, shares) in enumerate(others.items(), start=1):
        axes.plot(levels, shares, label=name, **line_style(number))
    axes.set(xlim=(0, 1), ylim=(0, 1), aspect="equal", xlabel="probability of the interval")
    axes.set_ylabel("share of true values in it" if others else f"share of {of} whose true reward is in it")
    axes.set_title(title)
    axes.legend(loc="upper left")
    open_axes(axes)
    return figure


def _label(of: str, several: bool, others: Mapping[str, object]) -> str:
    if others:
        return f"{of}, mean" if several else of
    return "mean" if several else "found"
