"""How often the posterior's intervals hold the truth."""

import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure

from mavrl.reports.figures.style import BLUE, COLUMN, GREY, open_axes, sheet, styled


@styled
def coverage_figure(levels: Float[np.ndarray, "L"], coverage: Float[np.ndarray, "R L"], of: str, title: str) -> Figure:
    """Draw the share of true rewards in central intervals against their probability: below the diagonal is too sure.

    Args:
        levels: probabilities of the intervals.
        coverage: share of true rewards in them, one row a replicate.
        of: whose rewards they are, such as "states".
        title: of the figure.
    """
    figure, (axes,) = sheet(1, 1, COLUMN, 3.4)
    axes.plot([0, 1], [0, 1], color=GREY, linewidth=1.0, linestyle="--", label="as wide as it should be")
    if len(coverage) > 1:
        axes.fill_between(
            levels, coverage.min(0), coverage.max(0), color=BLUE, alpha=0.25, linewidth=0, label="all replicates"
        )
    axes.plot(levels, coverage.mean(0), "o-", color=BLUE, label="mean" if len(coverage) > 1 else "found")
    axes.set(xlim=(0, 1), ylim=(0, 1), aspect="equal", xlabel="probability of the interval")
    axes.set_ylabel(f"share of {of} whose true reward is in it")
    axes.set_title(title)
    axes.legend(loc="upper left")
    open_axes(axes)
    return figure
