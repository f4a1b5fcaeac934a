"""Environments stepped together give what Gymnasium's vector environments give, and refuse what those refuse."""

from collections.abc import Callable, Iterator
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces

from mavrl.envs.control import ControlEnvironment
from mavrl.envs.stepping import GymnasiumEnvironments
from mavrl.errors import ConfigurationError, EnvironmentFault

ENVIRONMENTS = {
    "plain": ControlEnvironment("CartPole-v1"),
    "short": ControlEnvironment("CartPole-v1", max_steps=12),
    "fixed horizon": ControlEnvironment("CartPole-v1", max_steps=40, fixed_horizon=True),
    "wrapped": ControlEnvironment("CartPole-v1", max_steps=30, wrappers=({"DelayObservation": {"delay": 1}},)),
    "wrapped, fixed": ControlEnvironment(
        "CartPole-v1", max_steps=30, fixed_horizon=True, wrappers=({"DelayObservation": {"delay": 1}},)
    ),
    "perturbed": ControlEnvironment("Acrobot-v1", max_steps=50, perturbation={"link_asymmetry": 1.5}),
    "lander": ControlEnvironment("LunarLander-v3", max_steps=90),
}


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_the_steps_are_those_of_a_vector_environment(name: str) -> None:
    environment, seeds = ENVIRONMENTS[name], np.array([5, 6, 7])
    mine, theirs = GymnasiumEnvironments(environment, 4), environment.training_vector(3)
    stream = np.random.default_rng(0)
    expected, _ = theirs.reset(seed=seeds.tolist())
    assert mine.reset(seeds).tolist() == expected.astype(np.float32).tolist()
    ends = 0
    for _ in range(120):
        actions = stream.integers(environment.actions.count, size=3)
        found = mine.step(actions)
        observation, reward, terminated, truncated, info = theirs.step(actions)
        assert found.observation.tolist() == observation.astype(np.float32).tolist()
        assert found.reward.tolist() == reward.tolist()
        assert found.terminated.tolist() == terminated.tolist()
        assert found.truncated.tolist() == truncated.tolist()
        over = terminated | truncated
        ends += int(over.sum())
        for i in range(3):
            last = info["final_obs"][i] if over[i] else observation[i]
            assert found.following[i].tolist() == last.astype(np.float32).tolist()
    assert ends > 2


def test_what_it_gives_stays_as_it_is() -> None:
    envs = GymnasiumEnvironments(ENVIRONMENTS["fixed horizon"], 2)
    first = envs.reset(np.array([1, 2]))
    given = [first, *(getattr(envs.step(np.array([0, 0])), k) for k in ("following", "observation") for _ in range(9))]
    copies = [each.copy() for each in given]
    for _ in range(40):
        envs.step(np.array([1, 1]))
    assert all((one == other).all() for one, other in zip(given, copies, strict=True))


class Strange(gym.Env):
    """Gives one strange thing at its third step."""

    metadata = {"render_modes": []}  # noqa: RUF012

    def __init__(self, observation: Any = None, reward: Any = 1.0, error: bool = False) -> None:
        self.observation_space = spaces.Box(-np.inf, np.inf, (2,), np.float32)
        self.action_space = spaces.Discrete(2, start=3)
        self.strange = (observation, reward, error)

    def reset(self, *, seed=None, options=None):
        self.steps = 0
        return np.zeros(2, np.float32), {}

    def step(self, action):
        assert action in (3, 4)
        self.steps += 1
        observation, reward = np.full(2, action, np.float32), 1
        if self.steps == 3:
            observation = observation if self.strange[0] is None else self.strange[0]
            reward = self.strange[1]
            if self.strange[2]:
                raise RuntimeError("out of fuel")
        return observation, reward, False, False, {}

    def close(self):
        self.closed = True


@pytest.fixture
def strange() -> Iterator[Callable[..., GymnasiumEnvironments]]:
    def make(**kwargs: Any) -> GymnasiumEnvironments:
        envs = GymnasiumEnvironments(ControlEnvironment("Strange-v0", kwargs), 2)
        envs.reset(np.array([0, 1]))
        envs.step(np.array([0, 1]))
        envs.step(np.array([0, 1]))
        return envs

    gym.register("Strange-v0", entry_point=Strange)
    yield make
    del gym.registry["Strange-v0"]


class TestIntake:
    def test_actions_are_numbered_from_0_and_rewards_are_numbers(self, strange: Any):
        step = strange(reward=np.array([2], np.float32)).step(np.array([0, 1]))
        assert step.following.tolist() == [[3, 3], [4, 4]]
        assert step.reward.tolist() == [2, 2]

    def test_observations_of_a_kind_that_fits_are_taken(self, strange: Any):
        assert strange(observation=[1, 2]).step(np.array([0, 1])).following.tolist() == [[1, 2], [1, 2]]

    @pytest.mark.parametrize("given", [[1, 2, 3], [1], 0.5, "ab", [1, np.nan], np.array([1, np.inf], np.float32)])
    def test_what_is_no_observation_is_refused(self, strange: Any, given: Any):
        envs = strange(observation=given)
        with pytest.raises(ConfigurationError, match=r"step 3 of an episode gives the observation .* 2 finite numbers"):
            envs.step(np.array([0, 1]))

    @pytest.mark.parametrize("given", [np.nan, np.inf, None, "1", [1.0, 2.0]])
    def test_what_is_no_reward_is_refused(self, strange: Any, given: Any):
        envs = strange(reward=given)
        with pytest.raises(ConfigurationError, match=r"step 3 .* gives the reward .* must be a finite number"):
            envs.step(np.array([0, 1]))

    def test_an_error_of_the_environment_names_its_moment(self, strange: Any):
        envs = strange(error=True)
        with pytest.raises(EnvironmentFault, match="step 3 of an episode raises RuntimeError: out of fuel"):
            envs.step(np.array([0, 1]))

    def test_large_observations_are_no_infinite_ones(self, strange: Any):
        large = np.array([3e38, 3e38], np.float32)
        assert strange(observation=large).step(np.array([0, 1])).following[0].tolist() == large.tolist()


def test_it_closes_its_environments(strange: Any) -> None:
    envs = strange()
    envs.close()
    assert all(env.closed for env in envs._envs)
