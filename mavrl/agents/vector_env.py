"""Gymnasium vector environments for Stable-Baselines3 that pay any reward."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from gymnasium.vector import SyncVectorEnv
from stable_baselines3.common.vec_env import VecEnv

from mavrl.agents.rewards import StepReward


class RewardedVecEnv(VecEnv):
    """A vector environment whose reward is computed for all its environments at once, one call a step.

    Args:
        envs: resets each environment in the step that ends its episode (AutoresetMode.SAME_STEP).
        reward: what its environments pay.
    """

    def __init__(self, envs: SyncVectorEnv, reward: StepReward) -> None:
        self._envs = envs
        self._reward = reward
        super().__init__(envs.num_envs, envs.single_observation_space, envs.single_action_space)  # type: ignore[arg-type]
        self._observation = np.empty(0)
        self._actions = np.empty(0)
        self._next_seeds: list[int | None] | None = None

    def seed(self, seed: int | None = None) -> Sequence[int | None]:
        """Seeds of the next reset, one stream for each environment, and of the reward from now on."""
        if seed is not None:
            self._reward.seed(seed)
        seeds = np.random.SeedSequence(seed).generate_state(self.num_envs, np.uint32) >> 1
        self._next_seeds = seeds.tolist()
        return seeds.tolist()

    def reset(self) -> np.ndarray:
        self._observation, _ = self._envs.reset(seed=self._next_seeds)
        self._next_seeds = None
        self._reward.begin(np.ones(self.num_envs, dtype=bool))
        return self._observation

    def step_async(self, actions: np.ndarray) -> None:
        self._actions = actions

    def step_wait(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[dict[str, Any]]]:
        observation, true_reward, terminated, truncated, info = self._envs.step(self._actions)
        over = terminated | truncated
        infos: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        following = observation
        if over.any():
            following = observation.copy()
            for i in np.flatnonzero(over):
                following[i] = info["final_obs"][i]
                infos[i] = {
                    "terminal_observation": info["final_obs"][i],
                    "TimeLimit.truncated": bool(truncated[i] and not terminated[i]),
                }
        reward = self._reward(self._observation, self._actions, following, terminated, true_reward)
        if over.any():
            self._reward.begin(over)
        self._observation = observation
        return observation, np.asarray(reward, dtype=np.float32), over, infos

    def close(self) -> None:
        self._envs.close()

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        return [getattr(self._envs, attr_name, None)] * self.num_envs

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        raise AttributeError(f"{attr_name} cannot be set in a vector environment")

    def env_method(self, method_name: str, *args: Any, indices: Any = None, **kwargs: Any) -> list[Any]:
        raise AttributeError(f"{method_name} cannot be called in a vector environment")

    def env_is_wrapped(self, wrapper_class: Any, indices: Any = None) -> list[bool]:
        return [False] * self.num_envs
