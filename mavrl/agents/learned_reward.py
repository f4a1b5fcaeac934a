"""A wrapper of environments that pays a learned reward instead of their own."""

from typing import Any, Literal

import gymnasium as gym
import numpy as np

from mavrl.model.tabular_reward import TabularRewardModel


class LearnedReward(gym.Wrapper):
    """Replaces the reward of each step by a learned one; the true one is in `info["true_reward"]`.

    Args:
        env: a finite environment, whose observations are state numbers or one-hot vectors.
        model: one replicate of a reward model, `model[k]`.
        use: the posterior "mean", or one "sample" of the reward function.
        seed: which sample.
    """

    def __init__(
        self, env: gym.Env, model: TabularRewardModel, use: Literal["mean", "sample"] = "mean", seed: int = 0
    ) -> None:
        super().__init__(env)
        if len(model) != 1:
            raise ValueError(f"the model has {len(model)} replicates; choose one with model[k]")
        if use not in ("mean", "sample"):
            raise ValueError(f"use={use}: allowed are mean and sample")
        size = gym.spaces.flatdim(env.observation_space)
        if size != model.n_states:
            raise ValueError(f"the environment has {size} states, the model {model.n_states}")
        table = model.mean_table() if use == "mean" else model.sample_table(seed)
        self._rewards = table[0].double().numpy()
        self._state = 0

    def reset(self, **kwargs: Any) -> tuple[Any, dict[str, Any]]:
        observation, info = self.env.reset(**kwargs)
        self._state = _number(observation)
        return observation, info

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        observation, true_reward, terminated, truncated, info = self.env.step(action)
        reward = float(self._rewards[self._state])
        self._state = _number(observation)
        return observation, reward, terminated, truncated, {**info, "true_reward": float(true_reward)}


def _number(observation: Any) -> int:
    return int(np.argmax(observation)) if np.ndim(observation) else int(observation)
