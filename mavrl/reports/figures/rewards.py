"""The true and the learned reward of a grid, side by side."""

import numpy as np
from jaxtyping import Float, Int
from matplotlib.figure import Figure

from mavrl.reports.figures.cells import LARGEST_WITH_ARROWS, add_colours, draw_cells, spanning
from mavrl.reports.figures.style import PAGE, REWARDS, VERMILLION, entitle, sheet, styled


@styled
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
    of one at the largest. Each panel has colours of its own: a learned reward is in another unit.

    Args:
        true_actions, learned_actions: greedy action in each state, numbered as in `mavrl.envs.grid.ACTIONS`.
        path: states that the learned policy visits from the start.
        title: of the figure.
        goal: whether the last state is one, in which episodes end.
    """
    size = int(np.sqrt(len(true_reward)))
    figure, (left, right) = sheet(1, 2, PAGE, 3.8)
    side = np.sqrt(1 - 0.85 * std / max(std.max(), 1e-12))
    for axes, reward, sides, actions, name in (
        (left, true_reward, None, true_actions, "true reward"),
        (right, mean, side, learned_actions, "learned reward (mean)"),
    ):
        norm = spanning(reward)
        draw_cells(axes, reward, norm, REWARDS, name, sides, actions, goal)
        add_colours(figure, axes, norm, REWARDS)
    rows, columns = np.divmod(np.array(path), size)
    right.plot(columns, rows, color=VERMILLION, linewidth=2.2, alpha=0.8, solid_capstyle="round", zorder=3)
    right.set_xlabel(f"smaller cell: less certain; std from {std.min():.2g} to {std.max():.2g}", labelpad=14)
    arrows = "arrows: greedy policy; " if size <= LARGEST_WITH_ARROWS else ""
    left.set_xlabel(f"{arrows}S start{', G goal' if goal else ''}", labelpad=14)
    entitle(figure, title)
    return figure
