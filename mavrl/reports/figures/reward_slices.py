"""The learned reward of an environment with observations, over the two dimensions that tell most about it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from mavrl.reports.figures.cells import add_colours
from mavrl.reports.figures.style import INK, PAGE, REWARDS, SPREADS, entitle, sheet, styled


@dataclass(frozen=True)
class RewardSlice:
    """A learned reward over two dimensions of an observation, the others being at their median.

    Args:
        names: of the two dimensions, first that of x.
        x, y: values of them.
        mean, std: of the reward there, for each action.
        actions: of the visited steps.
        visited: the two dimensions of their states.
    """

    names: tuple[str, str]
    x: Float[np.ndarray, "X"]
    y: Float[np.ndarray, "Y"]
    mean: Float[np.ndarray, "A Y X"]
    std: Float[np.ndarray, "A Y X"]
    actions: Int[np.ndarray, "N"]
    visited: Float[np.ndarray, "N 2"]


@styled
def reward_slice_figure(reward: RewardSlice, action_names: Sequence[str], title: str) -> Figure:
    """Draw the mean above and the standard deviation below, a column for each action, with the visited states as dots.

    Args:
        action_names: what stands above the columns; where the reward is one of states alone there is one column, and
            all dots are in it.
    """
    n_actions = len(reward.mean)
    width = min(PAGE, 1.6 + 1.9 * n_actions) if n_actions > 1 else 3.6
    figure, panels = sheet(2, n_actions, width, 4.6, sharex=True, sharey=True)
    edges = reward.x[0], reward.x[-1], reward.y[0], reward.y[-1]
    for row, (values, colours, label) in enumerate(
        ((reward.mean, REWARDS, "mean reward"), (reward.std, SPREADS, "standard deviation"))
    ):
        norm = Normalize(float(values.min()), max(float(values.max()), float(values.min()) + 1e-9))
        across = panels[row * n_actions : (row + 1) * n_actions]
        for action, axes in enumerate(across):
            axes.imshow(
                values[action], norm=norm, cmap=colours, origin="lower", extent=edges, aspect="auto",
                interpolation="bilinear",
            )  # fmt: skip
            here = reward.visited if n_actions == 1 else reward.visited[reward.actions == action]
            dots = {"color": "white", "markeredgecolor": INK, "markeredgewidth": 0.3, "markersize": 2.2, "alpha": 0.7}
            axes.plot(*here.T, "o", **dots)
            if row == 0:
                axes.set_title(action_names[action])
            else:
                axes.set_xlabel(reward.names[0])
        across[0].set_ylabel(reward.names[1])
        add_colours(figure, across, norm, colours, label)
    panels[0].set(xlim=edges[:2], ylim=edges[2:])
    entitle(figure, f"{title}; dots: states of the feedback")
    return figure
