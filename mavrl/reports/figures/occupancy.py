"""Where the feedback of a grid is about: how often its samples visit each state, kind by kind."""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float, Integer
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure

from mavrl.reports.figures.cells import add_colours, draw_cells
from mavrl.reports.figures.style import AMOUNTS, PAGE, entitle, sheet, styled


@styled
def occupancy_figure(visits: Mapping[str, Integer[np.ndarray, "S"]], title: str, goal: bool = True) -> Figure:
    """Draw a panel for each kind, whose colours are shares of its visits; states without one stay white.

    Args:
        visits: of each state in the samples of each kind.
        title: of the figure.
        goal: whether the last state is one, in which episodes end.
    """
    figure, panels = sheet(1, len(visits), min(PAGE, 1.1 + 2.4 * len(visits)), 2.8)
    shares: dict[str, Float[np.ndarray, S]] = {kind: n / max(n.sum(), 1) for kind, n in visits.items()}
    norm = PowerNorm(0.5, 0.0, max(max(float(share.max()) for share in shares.values()), 1e-9))
    for axes, (kind, share) in zip(panels, shares.items(), strict=True):
        draw_cells(axes, np.where(share > 0, share, np.nan), norm, AMOUNTS, kind, goal=goal)
        seen = int((share > 0).sum())
        axes.set_xlabel(f"{int(visits[kind].sum())} steps in\n{seen} of {len(share)} states", labelpad=14)
    add_colours(figure, panels, norm, AMOUNTS, "share of steps")
    entitle(figure, title)
    return figure
