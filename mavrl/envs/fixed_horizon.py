"""Episodes of one length: what ends an episode can no longer tell the reward."""

from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces


class FixedHorizon(gym.Wrapper, gym.utils.RecordConstructorArgs):
    """An episode that never ends early: after termination it goes on in an absorbing state until it is truncated.

    The transition that terminates the inner environment has the inner reward and leads to the absorbing state, where
    actions do nothing. The observation has one more feature, the last: 0 before the end and 1 in the absorbing state,
    which otherwise keeps the inner environment's last observation. `info["absorbing"]` says the same of the state
    that the step leads to. No step terminates.

    When the inner environment truncates an episode, it is truncated here too, so its own time limit should not be
    shorter than `max_steps`.

    Args:
        env: has a one-dimensional Box of observations.
        max_steps: steps of a whole episode, after which it is truncated.
        absorbing_reward: reward of each step taken in the absorbing state.

    Raises:
        ValueError: the observations are no one-dimensional Box, or `max_steps` is less than 1.
    """

    def __init__(self, env: gym.Env, max_steps: int, absorbing_reward: float = 0.0) -> None:
        gym.utils.RecordConstructorArgs.__init__(self, max_steps=max_steps, absorbing_reward=absorbing_reward)
        gym.Wrapper.__init__(self, env)
        inner = env.observation_space
        if not isinstance(inner, spaces.Box) or len(inner.shape) != 1:
            raise ValueError(f"observation_space={inner}: must be a one-dimensional Box to get one more feature")
        if max_steps < 1:
            raise ValueError(f"max_steps={max_steps}: at least 1")
        dtype = inner.dtype.type
        self.observation_space = spaces.Box(
            np.append(inner.low, dtype(0)), np.append(inner.high, dtype(1)), dtype=dtype
        )
        self.max_steps = max_steps
        self.absorbing_reward = absorbing_reward
        self._steps = 0
        self._absorbed: np.ndarray | None = None  # the observation of the absorbing state, once it is reached

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None):
        observation, info = self.env.reset(seed=seed, options=options)
        self._steps = 0
        self._absorbed = None
        return self._extended(observation, absorbing=False), {**info, "absorbing": False}

    def step(self, action):
        if self._absorbed is None:
            observation, reward, terminated, truncated, info = self.env.step(action)
            absorbing = bool(terminated)
            extended = self._extended(observation, absorbing)
            if absorbing:
                self._absorbed = extended.copy()
        else:
            extended, reward, absorbing, truncated, info = self._absorbed.copy(), self.absorbing_reward, True, False, {}
        self._steps += 1
        truncated = bool(truncated) or self._steps >= self.max_steps
        return extended, reward, False, truncated, {**info, "absorbing": absorbing}

    def _extended(self, observation: np.ndarray, absorbing: bool) -> np.ndarray:
        return np.append(observation, observation.dtype.type(absorbing))
