"""The reward over two dimensions of an observation."""

import numpy as np
import pytest

from mavrl.reports.figures.reward_slices import RewardSlice, reward_slice_figure


@pytest.mark.parametrize("n_actions", [1, 3])
def test_means_above_deviations_and_the_states_of_each_action(n_actions: int) -> None:
    mean = np.arange(n_actions * 6.0).reshape(n_actions, 2, 3)
    visited, actions = np.array([[0.0, 0.0], [1.0, 1.0], [2.0, 0.5]]), np.array([0, 0, 2])
    x, y = np.array([0.0, 1.0, 2.0]), np.array([0.0, 1.0])
    reward = RewardSlice(("position", "speed"), x, y, mean, 0.1 * mean, actions, visited)
    figure = reward_slice_figure(reward, [f"action {k}" for k in range(n_actions)], "a run")
    panels = [axes for axes in figure.axes if axes.images]
    assert len(panels) == 2 * n_actions
    assert all(np.allclose(axes.images[0].get_array(), m) for axes, m in zip(panels, [*mean, *0.1 * mean], strict=True))
    dots = [len(np.asarray(axes.lines[0].get_xdata())) for axes in panels[:n_actions]]
    assert dots == ([3] if n_actions == 1 else [2, 0, 1])
    assert panels[-1].get_xlabel() == "position"
    assert panels[0].get_ylabel() == "speed"
    assert panels[0].get_xlim() == (0, 2)
