"""Gymnasium's own wrappers around an environment."""

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces

from mavrl.actions import NumberedActions, VectorActions
from mavrl.envs.control import ControlEnvironment
from mavrl.envs.wrappers import WRAPPERS, wrapped
from mavrl.errors import ConfigurationError


class Mixed(gym.Env):
    """A Dict of a number of four and a vector; the action is a vector."""

    def __init__(self) -> None:
        place = spaces.Box(-1, 1, (2,), np.float32)
        self.observation_space = spaces.Dict({"kind": spaces.Discrete(4), "place": place})
        self.action_space = spaces.Box(-1, 1, (1,), np.float32)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return {"kind": 2, "place": np.array([0.5, -0.5], np.float32)}, {}

    def step(self, action):
        return self.reset()[0], float(action[0]), False, False, {}


@pytest.fixture
def mixed() -> Any:
    gym.register("Mixed-v0", entry_point=Mixed, max_episode_steps=5)
    yield "Mixed-v0"
    del gym.registry["Mixed-v0"]


def test_a_dict_enters_as_a_vector_and_continuous_actions_as_numbers(mixed: str) -> None:
    wrappers = ["FlattenObservation", {"DiscretizeAction": {"bins": 3}}]
    environment = ControlEnvironment(mixed, wrappers=wrappers)
    assert (environment.observation_size, environment.actions) == (6, NumberedActions(3))
    envs = environment.vector(2)
    observation, _ = envs.reset(seed=0)
    assert observation.tolist() == [[0, 0, 1, 0, 0.5, -0.5]] * 2
    rewards = envs.step(np.array([0, 2]))[1]
    assert rewards[0] < 0 < rewards[1]


def test_they_are_put_on_in_their_order(mixed: str) -> None:
    place, actions = {"FilterObservation": {"filter_keys": ["place"]}}, {"DiscretizeAction": {"bins": 3}}
    assert ControlEnvironment(mixed, wrappers=[place, "FlattenObservation", actions]).observation_size == 2
    with pytest.raises(ConfigurationError, match=r"env\.wrappers=.*FilterObservation.*Dict"):
        ControlEnvironment(mixed, wrappers=["FlattenObservation", place]).check()


def test_a_fixed_horizon_goes_around_them(mixed: str) -> None:
    wrappers = ["FlattenObservation", {"DiscretizeAction": {"bins": 3}}]
    assert ControlEnvironment(mixed, wrappers=wrappers, fixed_horizon=True).observation_size == 7


@pytest.mark.parametrize("env_id", ["Taxi-v4", "FrozenLake-v1", "Blackjack-v1"])
def test_numbers_and_tuples_become_vectors(env_id: str) -> None:
    with pytest.raises(ConfigurationError, match=r"env\.id=.*env\.wrappers=\[FlattenObservation\] makes one of it"):
        ControlEnvironment(env_id).check()
    ControlEnvironment(env_id, wrappers=["FlattenObservation"]).check()


def test_gymnasium_has_all_of_them() -> None:
    assert [name for name in WRAPPERS if not hasattr(gym.wrappers, name)] == ["BoundAction"]


class _Free(gym.Env):
    """Rewards the action itself, which has no bounds."""

    observation_space = gym.spaces.Box(-1, 1, (1,), np.float32)
    action_space = gym.spaces.Box(np.array([-np.inf, 0], np.float32), np.array([np.inf, 9], np.float32))

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        return np.zeros(1, np.float32), {}

    def step(self, action: np.ndarray) -> Any:
        return np.zeros(1, np.float32), float(action @ [1.0, 10.0]), False, False, {}


def test_actions_get_bounds() -> None:
    gym.register("Free-v0", _Free, max_episode_steps=3)
    try:
        environment = ControlEnvironment("Free-v0", wrappers=[{"BoundAction": {"low": -2.0, "high": 4.0}}])
        assert environment.actions == VectorActions((-2.0, 0.0), (4.0, 4.0))
        env = environment.make()
        env.reset(seed=0)
        assert env.step(np.array([-1.0, 1.0]))[1] == -2 + 40
        assert env.step(np.array([0.0, 0.5]))[1] == 1 + 30
    finally:
        del gym.registry["Free-v0"]


@pytest.mark.parametrize(
    ("wrapper", "message"),
    [
        ("FlatenObservation", r"env\.wrappers=FlatenObservation: no wrapper .*did you mean FlattenObservation\?"),
        ("RecordVideo", r"env\.wrappers=RecordVideo: no wrapper that can be used; these can: FlattenObservation, "),
        ("NormalizeObservation", r"env\.wrappers=NormalizeObservation: .*model\.standardize"),
        ("TimeLimit", r"env\.wrappers=TimeLimit: the time limit is env\.max_steps"),
        ("TransformReward", r"env\.wrappers=TransformReward: takes a function"),
        ("Autoreset", r"env\.wrappers=Autoreset: episodes must end"),
        ({"DelayObservation": {"delai": 2}}, r"env\.wrappers=\{'DelayObservation': .*cannot be put around.*delai"),
        ({"DelayObservation": {"delay": "two"}}, r"env\.wrappers=.*cannot be put around the environment: TypeError"),
        ("DelayObservation", r"env\.wrappers=DelayObservation: cannot be put around .*delay"),
        ({"DiscretizeAction": {"bins": 3}}, r"env\.wrappers=.*cannot be put around .*Box"),
        ({"BoundAction": {"low": 0, "high": 1}}, r"env\.wrappers=.*cannot be put around .*needs a Box of actions"),
    ],
)
def test_what_cannot_be_put_on_is_one_line(wrapper: Any, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message) as caught:
        ControlEnvironment("CartPole-v1", wrappers=[wrapper]).check()
    assert "\n" not in str(caught.value)


def test_without_any_it_is_the_same_object() -> None:
    env = gym.make("CartPole-v1")
    assert wrapped(env, []) is env
