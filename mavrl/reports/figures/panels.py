"""The reward that each subset of feedback has taught, beside the true one."""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure

from mavrl.reports.figures.cells import draw_cells, spanning
from mavrl.reports.figures.style import PAGE, REWARDS, entitle, sheet, styled

_ACROSS = 4  # panels in a row
_TRUE = "true reward"
_MIDDLE = (0.02, 0.98)  # quantiles of learned rewards that colours are between: one goal must not take all of them


@styled
def panel_figure(
    true_reward: Float[np.ndarray, "S"],
    learned: Mapping[str, Float[np.ndarray, "S"]],
    remarks: Mapping[str, str],
    title: str,
) -> Figure:
    """Draw the true reward and a panel for each subset, each in colours of its own: these tell its states apart.

    Args:
        learned: mean learned reward of each subset of feedback.
        remarks: what stands below the panel of a subset, such as how good its policy is.
        title: of the figure.
    """
    rewards = {_TRUE: true_reward, **learned}
    rows = -(-len(rewards) // _ACROSS)
    figure, panels = sheet(rows, min(_ACROSS, len(rewards)), PAGE, 0.4 + 2.45 * rows)
    for axes, (name, reward) in zip(panels, rewards.items(), strict=False):
        norm = spanning(reward if name == _TRUE else np.clip(reward, *np.quantile(reward, _MIDDLE)))
        draw_cells(axes, reward, norm, REWARDS, name)
        axes.texts[0].remove()  # where episodes start is the same everywhere
        axes.set_title(name, pad=3)
        span = f"from {reward.min():.2g} to {reward.max():.2g}"
        axes.set_xlabel(f"{span}\n{remarks[name]}" if name in remarks else span)
    for axes in panels[len(rewards) :]:
        axes.set_visible(False)
    entitle(figure, title)
    return figure
