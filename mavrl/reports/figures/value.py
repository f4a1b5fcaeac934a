"""What the states of a grid are worth under the true reward: at best, and to who acts on the learned one."""

import numpy as np
from jaxtyping import Float, Int
from matplotlib.figure import Figure

from mavrl.reports.figures.cells import add_colours, draw_cells, spanning
from mavrl.reports.figures.style import PAGE, REWARDS, entitle, sheet, styled


@styled
def value_figure(
    optimal: Float[np.ndarray, "S"],
    learned: Float[np.ndarray, "S"],
    optimal_actions: Int[np.ndarray, "S"],
    learned_actions: Int[np.ndarray, "S"],
    title: str,
    goal: bool = True,
) -> Figure:
    """Draw both value functions in the same colours, each with its policy.

    Args:
        optimal: discounted true return from each state under the optimal policy.
        learned: that of the greedy policy of the learned reward.
        optimal_actions, learned_actions: of these policies, numbered as in `mavrl.envs.grid.ACTIONS`.
        title: of the figure.
        goal: whether the last state is one, in which episodes end.
    """
    figure, (left, right) = sheet(1, 2, PAGE, 3.5)
    norm = spanning(np.stack([optimal, learned]))
    draw_cells(left, optimal, norm, REWARDS, "optimal policy", None, optimal_actions, goal)
    draw_cells(right, learned, norm, REWARDS, "greedy policy of the learned reward", None, learned_actions, goal)
    right.set_xlabel(f"lacks {(optimal - learned).mean():.3g} in a mean state", labelpad=14)
    left.set_xlabel(f"S start{', G goal' if goal else ''}", labelpad=14)
    add_colours(figure, [left, right], norm, REWARDS, "discounted true return")
    entitle(figure, title)
    return figure
