"""Reward maps of the grids: the reward of acting in each cell of an n x n grid, indexed [row, column].

The start is the top-left cell (0, 0), the goal the bottom-right one.
"""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float

Layout = Callable[[int], Float[np.ndarray, "n n"]]


def trap(size: int) -> Float[np.ndarray, "n n"]:
    """Nothing anywhere, +1 at the goal, four square blocks of -4 in the way."""
    reward = np.zeros((size, size))
    side = max(1, size // 5)
    centres = (size // 4 + 1, 3 * size // 4)
    for row in centres:
        for column in centres:
            first_row, first_column = max(0, row - side // 2), max(0, column - side // 2)
            reward[first_row : row - side // 2 + side, first_column : column - side // 2 + side] = -4.0
    reward[-1, -1] = 1.0
    return reward


def cliff(size: int) -> Float[np.ndarray, "n n"]:
    """A costly top row, a cliff of -4 along the bottom, and +4 at the goal at its end."""
    reward = np.zeros((size, size))
    reward[0, 1:] = -1.0
    reward[-1, :] = -4.0
    reward[-1, -1] = 4.0
    return reward


def sparse(size: int) -> Float[np.ndarray, "n n"]:
    """-0.1 everywhere, +1 at the goal."""
    reward = np.full((size, size), -0.1)
    reward[-1, -1] = 1.0
    return reward


def dense(size: int) -> Float[np.ndarray, "n n"]:
    """+1 at the goal, elsewhere minus the Manhattan distance to the goal as a fraction of the longest."""
    index = np.arange(size)
    distance = (size - 1 - index)[:, None] + (size - 1 - index)[None, :]
    reward = -distance / (2.0 * (size - 1))
    reward[-1, -1] = 1.0
    return reward


def path(size: int) -> Float[np.ndarray, "n n"]:
    """-1 along the top and the bottom row, +4 at the goal."""
    reward = np.zeros((size, size))
    reward[0, :] = -1.0
    reward[-1, :] = -1.0
    reward[-1, -1] = 4.0
    return reward


def center(size: int) -> Float[np.ndarray, "n n"]:
    """-0.1 everywhere, +1 in the middle cell instead of the goal."""
    reward = np.full((size, size), -0.1)
    reward[size // 2, size // 2] = 1.0
    return reward


def first_goal(size: int) -> Float[np.ndarray, "n n"]:
    """+1 in a square block in the top-right corner, with a third of the grid's side."""
    reward = np.zeros((size, size))
    reward[: size // 3, -(size // 3) :] = 1.0
    return reward


def second_goal(size: int) -> Float[np.ndarray, "n n"]:
    """+1 in a square block in the bottom-left corner: that of `first_goal`, mirrored at the diagonal of the start."""
    return first_goal(size).T.copy()


def two_goals(size: int) -> Float[np.ndarray, "n n"]:
    """Both goals, equally good and equally far from the start. No state is terminal."""
    return first_goal(size) + second_goal(size)


LAYOUTS: dict[str, Layout] = {
    "trap": trap,
    "cliff": cliff,
    "sparse": sparse,
    "dense": dense,
    "path": path,
    "center": center,
    "two_goals": two_goals,
}
PARTS: dict[str, dict[str, Layout]] = {  # of layouts whose reward may be another weighted sum of them
    "two_goals": {"first": first_goal, "second": second_goal},
}
ENDLESS = ("two_goals",)  # layouts in which nothing terminates an episode
