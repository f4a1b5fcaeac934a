"""Rewards in units of the return, and advantages, against Stable-Baselines3's own code."""

import gymnasium as gym
import numpy as np
import pytest
import torch
from stable_baselines3.common.buffers import RolloutBuffer
from stable_baselines3.common.vec_env import VecNormalize
from stable_baselines3.common.vec_env.base_vec_env import VecEnv

from mavrl.agents.returns import RunningVariance, advantages, normalized

STREAM = np.random.default_rng(3)
R, T, N = 2, 7, 3
PAID = STREAM.normal(scale=4, size=(R, T, N)).astype(np.float32)
OVER = STREAM.random((R, T, N)) < 0.3


class Played(VecEnv):
    """Pays what it is told to, step after step."""

    def __init__(self, paid: np.ndarray, over: np.ndarray) -> None:
        super().__init__(N, gym.spaces.Box(-1, 1, (1,)), gym.spaces.Discrete(2))
        self._steps = iter(zip(paid, over, strict=True))

    def reset(self):
        return np.zeros((N, 1), np.float32)

    def step_async(self, actions):
        pass

    def step_wait(self):
        paid, over = next(self._steps)
        return np.zeros((N, 1), np.float32), paid, over, [{"terminal_observation": np.zeros(1)} for _ in range(N)]

    def close(self): ...
    def get_attr(self, attr_name, indices=None):
        return [None] * N

    def set_attr(self, attr_name, value, indices=None): ...
    def env_method(self, method_name, *args, indices=None, **kwargs): ...
    def env_is_wrapped(self, wrapper_class, indices=None):
        return [False] * N


class TestNormalized:
    def test_it_is_vec_normalize(self):
        begun = [RunningVariance()] * R
        found, discounted, after = normalized(PAID, OVER, np.zeros((R, N)), begun, 0.9)
        for r in range(R):
            theirs = VecNormalize(Played(PAID[r], OVER[r]), norm_obs=False, gamma=0.9)
            theirs.reset()
            expected = np.stack([theirs.step(np.zeros(N))[1] for _ in range(T)])
            assert found[r] == pytest.approx(expected, rel=1e-5)
            assert discounted[r] == pytest.approx(theirs.returns, rel=1e-6)
            mine = after[r]
            assert (mine.mean, mine.variance, mine.count) == pytest.approx(
                (theirs.ret_rms.mean, theirs.ret_rms.var, theirs.ret_rms.count)
            )

    def test_it_goes_on_from_where_it_was(self):
        whole = normalized(PAID, OVER, np.zeros((R, N)), [RunningVariance()] * R, 0.9)
        first, discounted, after = normalized(PAID[:, :4], OVER[:, :4], np.zeros((R, N)), [RunningVariance()] * R, 0.9)
        rest = normalized(PAID[:, 4:], OVER[:, 4:], discounted, after, 0.9)
        assert np.concatenate([first, rest[0]], axis=1).tolist() == whole[0].tolist()
        assert rest[2] == whole[2]

    def test_large_rewards_are_clipped(self):
        paid, over = np.full((1, 1, 1), -1e6, np.float32), np.zeros((1, 1, 1), bool)
        found, _, _ = normalized(paid, over, np.zeros((1, 1)), [RunningVariance(0, 1, 1e9)], 0.9)
        assert found.item() == -10


def test_advantages_are_those_of_stable_baselines() -> None:
    values = STREAM.normal(size=(R, T, N)).astype(np.float32)
    last = STREAM.normal(size=(R, N)).astype(np.float32)
    found = advantages(PAID, values, last, OVER, 0.9, 0.8)
    for r in range(R):
        buffer = RolloutBuffer(T, gym.spaces.Box(-1, 1, (1,)), gym.spaces.Discrete(2), "cpu", 0.8, 0.9, N)
        started = np.ones(N, dtype=bool)
        for t in range(T):
            value = torch.from_numpy(values[r, t])
            buffer.add(np.zeros((N, 1)), np.zeros((N, 1)), PAID[r, t], started, value, torch.zeros(N))
            started = OVER[r, t]
        buffer.compute_returns_and_advantage(torch.from_numpy(last[r]), OVER[r, -1])
        assert found[r] == pytest.approx(buffer.advantages, abs=1e-5)
