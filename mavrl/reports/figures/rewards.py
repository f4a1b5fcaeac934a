"""The true and the learned reward of a grid, side by side."""

import numpy as np
from jaxtyping import Float, Int
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.collections import PatchCollection
from matplotlib.colors import TwoSlopeNorm
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

_ARROWS = np.array([(1, 0), (0, -1), (-1, 0), (0, 1), (0, 0)])  # (column, row) of right, up, left, down, stay
_COLOURS = "RdBu"
_LARGEST_WITH_ARROWS = 30  # cells a side; on larger grids they would hide the cells


def reward_figure(
    true_reward: Float[np.ndarray, "S"],
    mean: Float[np.ndarray, "S"],
    std: Float[np.ndarray, "S"],
    true_actions: Int[np.ndarray, "S"],
    learned_actions: Int[np.ndarray, "S"],
    path: list[int],
    title: str,
    goal: bool = True,
) -> Figure:
    """Draw the true reward and the learned posterior mean as colours, with each reward's greedy policy.

    In the right panel a cell's area shrinks with the posterior standard deviation of its reward: a full cell at 0, 15 %
    of one at the largest.

    Args:
        true_actions, learned_actions: greedy action in each state, numbered as in `mavrl.envs.grid.ACTIONS`.
        path: states that the learned policy visits from the start.
        title: of the figure.
        goal: whether the last state is one, in which episodes end.
    """
    size = int(np.sqrt(len(true_reward)))
    figure = Figure(figsize=(9.6, 4.9), layout="constrained")
    left, right = figure.subplots(1, 2)
    certainty = 1 - 0.85 * std / max(std.max(), 1e-12)
    _panel(figure, left, size, true_reward, np.ones_like(mean), true_actions, "true reward")
    _panel(figure, right, size, mean, np.sqrt(certainty), learned_actions, "learned reward (mean)")
    rows, columns = np.divmod(np.array(path), size)
    right.plot(columns, rows, color="goldenrod", linewidth=2.2, alpha=0.8, solid_capstyle="round", zorder=3)
    right.set_xlabel(
        f"smaller cell: less certain; std from {std.min():.2g} to {std.max():.2g}", fontsize=9, labelpad=14
    )
    arrows = "arrows: greedy policy; " if size <= _LARGEST_WITH_ARROWS else ""
    left.set_xlabel(f"{arrows}S start{', G goal' if goal else ''}", fontsize=9, labelpad=14)
    for axes in (left, right) if goal else ():
        axes.text(size - 1, size - 0.38, "G", ha="center", va="top", fontsize=9)
    figure.suptitle(title, fontsize=11)
    return figure


def _panel(
    figure: Figure,
    axes: Axes,
    size: int,
    reward: Float[np.ndarray, "S"],
    side: Float[np.ndarray, "S"],
    actions: Int[np.ndarray, "S"],
    title: str,
) -> None:
    rows, columns = np.divmod(np.arange(size * size), size)
    limit = max(abs(reward).max(), 1e-9)
    norm = TwoSlopeNorm(0, -limit, limit)
    squares = [Rectangle((c - s / 2, r - s / 2), s, s) for r, c, s in zip(rows, columns, side, strict=True)]
    cells = PatchCollection(
        squares, cmap=_COLOURS, norm=norm, edgecolor="0.75", linewidth=0.4 if size <= _LARGEST_WITH_ARROWS else 0
    )
    cells.set_array(reward)
    axes.add_collection(cells)
    if size <= _LARGEST_WITH_ARROWS:
        moves = _ARROWS[actions] * 0.32
        going = actions != len(_ARROWS) - 1
        axes.quiver(
            *(columns - moves[:, 0] / 2)[None, going], (rows - moves[:, 1] / 2)[going], *moves[going].T,
            angles="xy", scale_units="xy", scale=1, width=0.004, headwidth=4.5, color="0.25", zorder=4,
        )  # fmt: skip
        axes.plot(columns[~going], rows[~going], ".", color="0.25", markersize=3, zorder=4)
    axes.text(0, -0.62, "S", ha="center", va="bottom", fontsize=9)
    axes.set(xlim=(-0.6, size - 0.4), ylim=(size - 0.4, -0.6), aspect="equal", xticks=[], yticks=[])
    axes.set_title(title, fontsize=10, pad=12)
    figure.colorbar(ScalarMappable(norm, _COLOURS), ax=axes, shrink=0.75)
