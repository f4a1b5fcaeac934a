"""Episodes that go on in an absorbing state until the horizon."""

import copy

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.utils.env_checker import check_env
from gymnasium.wrappers import TimeLimit

from mavrl.envs.fixed_horizon import FixedHorizon


class Countdown(gym.Env):
    """Observes the steps left, each of reward 10 times these, and terminates when none is left."""

    observation_space = spaces.Box(0, 9, (1,), np.float32)
    action_space = spaces.Discrete(2)

    def __init__(self, steps: int = 3) -> None:
        self.steps = self.left = steps
        self.taken = 0

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.left = self.steps
        return np.array([self.left], np.float32), {"left": self.left}

    def step(self, action):
        reward = 10.0 * self.left
        self.left -= 1
        self.taken += 1
        return np.array([self.left], np.float32), reward, self.left == 0, False, {"left": self.left}


def episode(env: gym.Env) -> list[tuple]:
    """Observation, reward, terminated, truncated, absorbing of every step until the episode ends."""
    env.reset(seed=0)
    steps = []
    while not steps or not (steps[-1][2] or steps[-1][3]):
        observation, reward, terminated, truncated, info = env.step(0)
        steps.append((observation.tolist(), reward, terminated, truncated, info["absorbing"]))
    return steps


class TestEpisode:
    def test_goes_on_in_the_absorbing_state_until_the_horizon(self):
        env = FixedHorizon(Countdown(3), max_steps=5, absorbing_reward=-1.0)
        for _ in range(2):  # a reset starts all of it again
            assert episode(env) == [
                ([2, 0], 30, False, False, False),
                ([1, 0], 20, False, False, False),
                ([0, 1], 10, False, False, True),
                ([0, 1], -1, False, False, True),
                ([0, 1], -1, False, True, True),
            ]

    def test_the_inner_environment_rests_after_its_end(self):
        inner = Countdown(3)
        assert len(episode(FixedHorizon(inner, max_steps=8))) == 8
        assert inner.taken == 3

    def test_nothing_is_earned_in_the_absorbing_state_by_default(self):
        rewards = [reward for _, reward, *_ in episode(FixedHorizon(Countdown(1), max_steps=3))]
        assert rewards == [10, 0, 0]

    def test_an_end_at_the_horizon_is_absorbing_and_truncated(self):
        steps = episode(FixedHorizon(Countdown(3), max_steps=3))
        assert len(steps) == 3
        assert steps[-1] == ([0, 1], 10, False, True, True)

    def test_the_horizon_cuts_a_longer_episode_off(self):
        steps = episode(FixedHorizon(Countdown(9), max_steps=2))
        assert len(steps) == 2
        assert steps[-1] == ([7, 0], 80, False, True, False)

    def test_the_inner_time_limit_ends_the_episode(self):
        steps = episode(FixedHorizon(TimeLimit(Countdown(9), 4), max_steps=6))
        assert len(steps) == 4
        assert steps[-1] == ([5, 0], 60, False, True, False)

    @pytest.mark.parametrize("action", [0, 1])
    def test_cart_pole_lasts_its_time_limit(self, action):
        env = FixedHorizon(gym.make("CartPole-v1"), max_steps=500)
        env.reset(seed=0)
        outcomes = [env.step(action) for _ in range(500)]
        flags = [observation[-1] for observation, *_ in outcomes]
        fall = flags.index(1)
        assert fall < 12  # a constant push
        assert flags == [0] * fall + [1] * (500 - fall)
        assert sum(reward for _, reward, *_ in outcomes) == fall + 1
        assert [truncated for _, _, _, truncated, _ in outcomes] == [False] * 499 + [True]

    def test_info_of_the_inner_environment_is_kept(self):
        env = FixedHorizon(Countdown(2), max_steps=4)
        assert env.reset(seed=0)[1] == {"left": 2, "absorbing": False}
        assert [env.step(0)[4] for _ in range(3)] == [
            {"left": 1, "absorbing": False},
            {"left": 0, "absorbing": True},
            {"absorbing": True},
        ]

    def test_observations_are_not_shared_between_steps(self):
        env = FixedHorizon(Countdown(1), max_steps=3)
        env.reset(seed=0)
        for _ in range(3):
            observation, *_ = env.step(0)
            assert observation.tolist() == [0, 1]
            observation[:] = 7


class TestSpaces:
    def test_one_more_feature(self):
        env = FixedHorizon(gym.make("CartPole-v1"), max_steps=10)
        inner = env.env.observation_space
        assert env.observation_space.shape == (5,)
        assert env.observation_space.dtype == inner.dtype
        np.testing.assert_array_equal(env.observation_space.low, [*inner.low, 0])
        np.testing.assert_array_equal(env.observation_space.high, [*inner.high, 1])
        assert env.action_space == gym.make("CartPole-v1").action_space

    @pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64])
    def test_observations_are_in_the_space(self, dtype):
        inner = gym.wrappers.TransformObservation(
            Countdown(2), lambda observation: observation.astype(dtype), spaces.Box(0, 9, (1,), dtype)
        )
        env = FixedHorizon(inner, max_steps=4)
        observations = [env.reset(seed=0)[0], *(env.step(0)[0] for _ in range(4))]
        assert all(observation.dtype == dtype for observation in observations)
        assert all(env.observation_space.contains(observation) for observation in observations)

    @pytest.mark.filterwarnings("ignore::UserWarning")  # prefers an environment without wrappers
    def test_passes_the_checker(self):
        check_env(FixedHorizon(gym.make("CartPole-v1"), max_steps=10), skip_render_check=True)

    def test_is_made_again_from_its_specification(self):
        env = gym.make(FixedHorizon(gym.make("CartPole-v1"), max_steps=6, absorbing_reward=2.0).spec)
        assert episode(env) == episode(FixedHorizon(gym.make("CartPole-v1"), 6, 2.0))

    def test_a_copy_goes_on_where_the_original_is(self):
        env = FixedHorizon(Countdown(2), max_steps=4)
        env.reset(seed=0)
        env.step(0)
        env.step(0)
        twin = copy.deepcopy(env)
        assert [twin.step(0)[3] for _ in range(2)] == [env.step(0)[3] for _ in range(2)] == [False, True]


class TestArguments:
    @pytest.mark.parametrize("env_id", ["mavrl/GridTrap-v0", "Blackjack-v1"])
    def test_observations_must_be_vectors(self, env_id):
        with pytest.raises(ValueError, match=r"observation_space=.*one-dimensional Box"):
            FixedHorizon(gym.make(env_id), max_steps=10)

    def test_nor_may_they_be_pictures(self):
        inner = Countdown()
        inner.observation_space = spaces.Box(0, 255, (4, 4), np.uint8)
        with pytest.raises(ValueError, match="one-dimensional Box"):
            FixedHorizon(inner, max_steps=10)

    @pytest.mark.parametrize("max_steps", [0, -1])
    def test_at_least_one_step(self, max_steps):
        with pytest.raises(ValueError, match=f"max_steps={max_steps}: at least 1"):
            FixedHorizon(Countdown(), max_steps=max_steps)
