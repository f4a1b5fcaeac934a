"""Learned against true returns of segments that nothing was learned from."""

import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure

from mavrl.reports.figures.style import BLUE, COLUMN, GREY, SMALL, open_axes, sheet, styled

_BARS = 60  # more of them would hide the points


@styled
def segment_return_figure(
    true: Float[np.ndarray, "N"],
    learned: Float[np.ndarray, "N"],
    std: Float[np.ndarray, "N"],
    rank_correlation: float,
    of: str,
    title: str,
) -> Figure:
    """Draw a point for each segment, some with a bar of one posterior standard deviation to either side.

    Args:
        true: sum of the true rewards of each segment.
        learned: that of the learned ones, posterior mean.
        std: its posterior standard deviation.
        rank_correlation: Spearman's, of `true` and `learned`.
        of: what the segments are, such as "256 segments of 20 steps".
        title: of the figure.
    """
    figure, (axes,) = sheet(1, 1, COLUMN, 3.0)
    some = np.linspace(0, len(true) - 1, min(_BARS, len(true))).astype(int)
    axes.errorbar(true[some], learned[some], std[some], fmt="none", ecolor=GREY, elinewidth=0.6, alpha=0.6)
    axes.plot(true, learned, "o", color=BLUE, markersize=3, alpha=0.55, markeredgewidth=0)
    axes.set_xlabel("true return of a segment")
    axes.set_ylabel("learned return, ± 1 std")
    axes.set_title(title)
    words = f"Spearman {rank_correlation:.2f}\n{of}"
    axes.text(0.03, 0.97, words, transform=axes.transAxes, ha="left", va="top", fontsize=SMALL)
    axes.margins(y=0.25)
    open_axes(axes)
    return figure
