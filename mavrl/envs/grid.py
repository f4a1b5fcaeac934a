"""Grid worlds with a known transition model, as Gymnasium environments."""

from collections.abc import Mapping

import gymnasium as gym
import numpy as np
import torch
from gymnasium import spaces
from jaxtyping import Float

from mavrl.envs.layouts import ENDLESS, LAYOUTS, PARTS
from mavrl.planning import TransitionModel

ACTIONS = ("right", "up", "left", "down", "stay")
_MOVES = np.array([(0, 1), (-1, 0), (0, -1), (1, 0), (0, 0)])  # (row, column)
_LARGEST_DENSE = 1000


class GridEnv(gym.Env):
    """An n x n grid in which an action moves one cell or stays; the start is top-left, the goal bottom-right.

    The reward depends on the cell that the action is taken in. A step taken in the goal terminates the episode; after
    `max_steps` steps it is truncated. States are numbered row by row; `gymnasium.wrappers.FlattenObservation` turns
    the observation into the one-hot vector that the reward model sees. Layouts in `mavrl.envs.layouts.ENDLESS` have no
    such goal: only `max_steps` ends an episode there.

    Args:
        layout: name in `mavrl.envs.layouts.LAYOUTS`.
        size: cells a side, at least 3.
        p_rand: probability that a uniformly chosen *other* action is executed.
        max_steps: steps after which an episode is truncated; None for no limit.
        render_mode: "ansi" for text, "rgb_array" for a picture, or None.
        weights: of the layout's parts (`mavrl.envs.layouts.PARTS`), whose sum is the reward; None for the layout's own.
    """

    metadata = {"render_modes": ["ansi", "rgb_array"], "render_fps": 4}  # noqa: RUF012

    def __init__(
        self,
        layout: str,
        size: int = 10,
        p_rand: float = 0.0,
        max_steps: int | None = None,
        render_mode: str | None = None,
        weights: Mapping[str, float] | None = None,
    ) -> None:
        if layout not in LAYOUTS:
            raise ValueError(f"layout={layout}: allowed are {', '.join(LAYOUTS)}")
        if size < 3:
            raise ValueError(f"size={size}: at least 3 cells a side")
        if not 0.0 <= p_rand <= 1.0:
            raise ValueError(f"p_rand={p_rand}: a probability in [0, 1]")
        if max_steps is not None and max_steps < 1:
            raise ValueError(f"max_steps={max_steps}: at least 1, or None for no limit")
        self.size = size
        self.p_rand = p_rand
        self.max_steps = max_steps
        self.render_mode = render_mode
        self.observation_space = spaces.Discrete(size * size)
        self.action_space = spaces.Discrete(len(ACTIONS))
        self.R: Float[np.ndarray, S] = reward_map(layout, size, weights).reshape(-1)
        self.initial_distribution: Float[np.ndarray, S] = np.eye(1, size * size).reshape(-1)
        self.goal = size * size - 1
        self.terminal_states = (np.arange(size * size) == self.goal) & (layout not in ENDLESS)
        self.transitions = transition_model(size, p_rand)
        self._destination = _destinations(size)
        self._state = 0
        self._steps = 0

    @property
    def P(self) -> Float[np.ndarray, "S A S"]:
        """Transition probabilities as a dense array, for inspection of small grids; `transitions` serves any size."""
        n_states, n_actions = self.transitions.n_states, self.transitions.n_actions
        if n_states > _LARGEST_DENSE:
            raise ValueError(f"a dense P of {n_states} states is too large; use .transitions")
        dense = np.zeros((n_states, n_actions, n_states))
        state, action, _ = np.indices(self.transitions.successors.shape)
        np.add.at(dense, (state, action, self.transitions.successors.numpy()), self.transitions.probabilities.numpy())
        return dense

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self._state = int(self.np_random.choice(len(self.R), p=self.initial_distribution))
        self._steps = 0
        return self._state, {}

    def step(self, action):
        if not self.action_space.contains(action):
            raise ValueError(f"action={action}: allowed are 0 to {len(ACTIONS) - 1}")
        executed = int(action)
        if self.p_rand > 0 and self.np_random.random() < self.p_rand:
            executed = (executed + int(self.np_random.integers(1, len(ACTIONS)))) % len(ACTIONS)
        reward = float(self.R[self._state])
        terminated = bool(self.terminal_states[self._state])
        self._state = int(self._destination[self._state, executed])
        self._steps += 1
        truncated = not terminated and self.max_steps is not None and self._steps >= self.max_steps
        return self._state, reward, terminated, truncated, {}

    def render(self):
        if self.render_mode == "ansi":
            cells = np.full(self.size * self.size, ".")
            cells[self.R < 0] = "-"
            cells[self.R > 0] = "+"
            cells[self._state] = "@"
            return "\n".join("".join(row) for row in cells.reshape(self.size, self.size))
        if self.render_mode == "rgb_array":
            return self._picture()
        return None

    def _picture(self, pixels: int = 16) -> np.ndarray:
        colours = np.full((self.size * self.size, 3), 255, dtype=np.uint8)
        scale = max(abs(self.R).max(), 1e-9)
        shade = (255 * (1 - abs(self.R) / scale)).astype(np.uint8)
        colours[self.R < 0, 1:] = shade[self.R < 0, None]
        colours[self.R > 0, :2] = shade[self.R > 0, None]
        picture = colours.reshape(self.size, self.size, 3).repeat(pixels, axis=0).repeat(pixels, axis=1)
        picture[::pixels] = picture[:, ::pixels] = 215  # lines between cells
        row, column = (pixels * place for place in divmod(self._state, self.size))
        inner = slice(pixels // 4, pixels - pixels // 4 + 1)  # the cell stays to be seen around who is in it
        picture[row : row + pixels, column : column + pixels][inner, inner] = 40
        return picture


def reward_map(layout: str, size: int, weights: Mapping[str, float] | None = None) -> Float[np.ndarray, "n n"]:
    """The reward of acting in each cell: the layout's own, or a weighted sum of its parts.

    Raises:
        ValueError: the layout has not these parts.
    """
    if not weights:
        return LAYOUTS[layout](size)
    parts = PARTS.get(layout, {})
    for name in weights:
        if name not in parts:
            raise ValueError(f"weights={name}: layout {layout} has {', '.join(parts) or 'no parts'}")
    return sum((weight * parts[name](size) for name, weight in weights.items()), np.zeros((size, size)))


def transition_model(size: int, p_rand: float) -> TransitionModel:
    """The grid's transition model: one outcome an action when p_rand is 0, else one for each executed action."""
    destination = torch.from_numpy(_destinations(size))
    if p_rand == 0.0:
        return TransitionModel(destination[..., None], torch.ones(*destination.shape, 1, dtype=torch.float64))
    n_states, n_actions = destination.shape
    executed = torch.full((n_actions, n_actions), p_rand / (n_actions - 1), dtype=torch.float64)
    executed.fill_diagonal_(1 - p_rand)
    successors = destination[:, None, :].expand(n_states, n_actions, n_actions).contiguous()
    return TransitionModel(successors, executed.expand(n_states, n_actions, n_actions).contiguous())


def _destinations(size: int) -> np.ndarray:
    """State that each executed action leads to, shape (S, A)."""
    cells = np.stack(np.divmod(np.arange(size * size), size), axis=-1)
    moved = np.clip(cells[:, None] + _MOVES, 0, size - 1)
    return moved[..., 0] * size + moved[..., 1]
