"""The learned reward of recorded episodes, beside their true one where that was recorded."""

import numpy as np
from jaxtyping import Float, Int
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from mavrl.reports.figures.style import BLUE, GREY, PAGE, open_axes, sheet, styled


@styled
def recorded_figure(
    numbers: Int[np.ndarray, "E"], learned: Float[np.ndarray, "R E"], true: Float[np.ndarray, "E"] | None, title: str
) -> Figure:
    """Draw the mean learned reward of each recorded episode, with the range of the replicates.

    Args:
        numbers: of the episodes.
        learned: mean learned reward of each, one row a replicate.
        true: mean recorded reward of each, which they are drawn against; None for against their numbers.
    """
    figure, (axes,) = sheet(1, 1, PAGE, 3.6)
    place = numbers if true is None else true
    middle = learned.mean(0)
    spread = np.stack([middle - learned.min(0), learned.max(0) - middle])
    axes.errorbar(
        place,
        middle,
        yerr=spread if len(learned) > 1 else None,
        fmt="o",
        color=BLUE,
        ecolor=GREY,
        markersize=3.5,
        elinewidth=0.8,
        alpha=0.8,
        label="mean of the replicates; bar: the smallest and the largest" if len(learned) > 1 else None,
    )
    axes.set_xlabel("recorded episode, from 0" if true is None else "mean true reward of the recorded steps")
    axes.set_ylabel("mean learned reward of a step")
    if true is None:
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_title(title)
    if len(learned) > 1:
        axes.legend()
    open_axes(axes)
    return figure
