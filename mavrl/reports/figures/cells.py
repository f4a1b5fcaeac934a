"""A grid's states as coloured cells, with the arrows of a policy."""

import numpy as np
from jaxtyping import Float, Int
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.collections import PatchCollection
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.patheffects import AbstractPathEffect, withStroke

from mavrl.reports.figures.style import INK, LIGHT, SMALL

LARGEST_WITH_ARROWS = 30  # cells a side; on larger grids they would hide the cells
_ARROWS = np.array([(1, 0), (0, -1), (-1, 0), (0, 1), (0, 0)])  # (column, row) of right, up, left, down, stay
_HALO: list[AbstractPathEffect] = [withStroke(linewidth=1.1, foreground="white")]  # arrows are seen on dark cells, too


def draw_cells(
    axes: Axes,
    values: Float[np.ndarray, "S"],
    norm: Normalize,
    colours: str,
    title: str,
    side: Float[np.ndarray, "S"] | None = None,
    actions: Int[np.ndarray, "S"] | None = None,
    goal: bool = False,
) -> None:
    """Draw the states row by row, those with a NaN left white.

    Args:
        side: of each cell, where 1 fills its place; None for all of them 1.
        actions: greedy action in each state, numbered as in `mavrl.envs.grid.ACTIONS`; None for no arrows.
        goal: whether the last state is one, in which episodes end.
    """
    size = int(np.sqrt(len(values)))
    small = size <= LARGEST_WITH_ARROWS
    rows, columns = np.divmod(np.arange(size * size), size)
    style = {"cmap": colours, "norm": norm, "edgecolor": LIGHT, "linewidth": 0.4 if small else 0}
    if side is None:
        places = np.arange(size + 1) - 0.5
        axes.pcolormesh(places, places, np.ma.masked_invalid(values).reshape(size, size), **style)
    else:
        squares = [Rectangle((c - s / 2, r - s / 2), s, s) for r, c, s in zip(rows, columns, side, strict=True)]
        axes.add_collection(PatchCollection(squares, array=np.ma.masked_invalid(values), **style))
    if actions is not None and small:
        _draw_arrows(axes, rows, columns, actions)
    axes.text(0, -0.62, "S", ha="center", va="bottom", fontsize=SMALL)
    if goal:
        axes.text(size - 1, size - 0.38, "G", ha="center", va="top", fontsize=SMALL)
    axes.set(xlim=(-0.6, size - 0.4), ylim=(size - 0.4, -0.6), aspect="equal", xticks=[], yticks=[])
    axes.set_title(title, pad=12)


def _draw_arrows(
    axes: Axes, rows: Int[np.ndarray, "S"], columns: Int[np.ndarray, "S"], actions: Int[np.ndarray, "S"]
) -> None:
    moves = _ARROWS[actions] * 0.34
    going = actions != len(_ARROWS) - 1
    arrows = axes.quiver(
        *(columns - moves[:, 0] / 2)[None, going], (rows - moves[:, 1] / 2)[going], *moves[going].T,
        angles="xy", scale_units="xy", scale=1, width=0.0036, headwidth=5, color=INK, zorder=4,
    )  # fmt: skip
    arrows.set_path_effects(_HALO)
    axes.plot(columns[~going], rows[~going], ".", color=INK, markersize=3, zorder=4, path_effects=_HALO)


def spanning(values: Float[np.ndarray, "*shape"]) -> Normalize:
    """Colours between the smallest and the largest value."""
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    return Normalize(low, max(high, low + 1e-9))


def add_colours(figure: Figure, axes: Axes | list[Axes], norm: Normalize, colours: str, label: str = "") -> None:
    """The scale of the colours, on the right of the axes."""
    figure.colorbar(ScalarMappable(norm, colours), ax=axes, shrink=0.8, label=label)
