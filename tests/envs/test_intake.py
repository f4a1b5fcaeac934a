"""What an environment gives is checked where it comes in."""

import pickle
import sys
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces

from mavrl.envs.fixed_horizon import FixedHorizon
from mavrl.envs.intake import Intake
from mavrl.errors import ConfigurationError, EnvironmentFault

SEEN = np.array([1.0, 2.0], np.float32)


class Scripted(gym.Env):
    """Gives what it is told to; remembers what it was asked."""

    def __init__(self, observation: Any = SEEN, reward: Any = 0.0, info: Any = None, actions: Any = None) -> None:
        self.observation_space = spaces.Box(-np.inf, np.inf, (2,), np.float32)
        self.action_space = actions or spaces.Discrete(3)
        self.observation, self.reward, self.info = observation, reward, info
        self.flags: tuple[Any, Any] = (False, False)
        self.asked: list[Any] = []

    def reset(self, **asked: Any):
        self.asked.append(asked)
        return SEEN, self.info

    def step(self, action):
        self.asked.append(action)
        return self.observation, self.reward, *self.flags, self.info


def intake(**given: Any) -> Intake:
    return Intake(Scripted(**given), "Scripted-v0")


def stepped(**given: Any) -> tuple[Any, ...]:
    env = intake(**given)
    env.reset(seed=0)
    return env.step(0)


# Resets and actions ---------------------------------------------------------------------------------------------------


def test_every_reset_is_the_same_call() -> None:
    env = intake()
    for options in (None, {}, {"start": 3}):
        env.reset(seed=4, options=options)
    assert env.env.asked == [{"seed": 4}] * 3


@pytest.mark.parametrize("first", [0, 5, -1])
def test_actions_are_numbered_from_0(first: int) -> None:
    env = intake(actions=spaces.Discrete(3, start=first))
    assert env.action_space == spaces.Discrete(3)
    env.reset()
    for action in range(3):
        env.step(np.int64(action))
    assert env.env.asked[1:] == [first, first + 1, first + 2]


# Values ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "reward", [0.5, np.float32(0.5), np.float64(0.5), np.array(0.5), np.array([0.5]), np.array([[0.5]]), [0.5]], ids=str
)
def test_a_reward_is_one_number_in_whatever_it_comes(reward: Any) -> None:
    found = stepped(reward=reward)[1]
    assert type(found) is float
    assert found == 0.5


def test_whole_numbers_and_truth_values_are_rewards_too() -> None:
    assert [stepped(reward=reward)[1] for reward in (3, np.int32(-3), True)] == [3.0, -3.0, 1.0]


@pytest.mark.parametrize(
    "reward",
    [np.nan, np.inf, -np.inf, np.float32(np.nan), np.array([np.nan]), None, "1.0", [], [1.0, 2.0], np.zeros(2), {}, 1j],
    ids=str,
)
def test_a_reward_that_is_no_finite_number_is_refused(reward: Any) -> None:
    env = intake()
    env.reset()
    env.step(0)
    env.env.reward = reward
    with pytest.raises(ConfigurationError) as caught:
        env.step(0)
    text = " ".join(str(reward).split())
    assert str(caught.value) == (
        f"env.id=Scripted-v0: step 2 of an episode gives the reward {text}, which must be a finite number"
    )
    assert not isinstance(caught.value, EnvironmentFault)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64, np.uint8, bool])
def test_an_observation_keeps_its_numbers(dtype: Any) -> None:
    given = np.array([0, 1], dtype)
    found = stepped(observation=given)[0]
    assert np.array_equal(found, given)
    assert found.dtype == given.dtype


def test_a_list_is_an_observation() -> None:
    assert np.array_equal(stepped(observation=[1.0, 2.0])[0], SEEN)


@pytest.mark.parametrize(
    "observation",
    [[np.nan, 0], [0, np.inf], [1e39, 0.0], None, "text", [1.0], np.zeros((1, 2)), 3.0, [[1], [2, 3]], [1j, 0]],
    ids=str,
)
def test_an_observation_that_cannot_be_learned_from_is_refused(observation: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"env\.id=Scripted-v0: step 1 .* gives the observation") as caught:
        stepped(observation=observation)
    assert "must be 2 finite numbers (float32), as observation_space says" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_first_one_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules[__name__], "SEEN", np.full(2, np.nan))
    with pytest.raises(ConfigurationError, match=r"env\.id=Scripted-v0: its reset gives the observation \[nan nan\]"):
        intake().reset()


def test_a_fraction_is_no_whole_number() -> None:
    env = Scripted()
    env.observation_space = spaces.Box(0, 9, (2,), np.int64)
    with pytest.raises(ConfigurationError, match=r"must be 2 finite numbers \(int64\)"):
        Intake(env, "Scripted-v0").reset()


def test_an_environment_that_changes_its_observation_in_place_does_not_change_ours() -> None:
    mine = SEEN.copy()
    env = intake(observation=mine)
    env.reset()
    first = env.step(0)[0]
    mine += 7
    assert np.array_equal(first, SEEN)


def test_infos_are_left_out() -> None:
    env = intake(info={"way": np.arange(3)})
    assert env.reset()[1] == {}
    assert env.step(0)[4] == {}


@pytest.mark.parametrize("flag", [True, np.bool_(True), np.array([True]), 1])
def test_flags_are_truth_values(flag: Any) -> None:
    env = intake()
    env.reset()
    env.env.flags = flag, flag
    assert env.step(0)[2:4] == (True, True)
    assert all(type(found) is bool for found in env.step(0)[2:4])


def test_a_fixed_horizon_sees_only_what_was_taken_in() -> None:
    env = FixedHorizon(intake(observation=[3, 4], reward=np.array([1])), 5)
    env.reset()
    observation, reward, *_ = env.step(0)
    assert observation.tolist() == [3, 4, 0]
    assert reward == 1.0


# Errors ---------------------------------------------------------------------------------------------------------------

MODULE = '''"""An environment that breaks."""

import gymnasium as gym
import numpy as np


class Breaks(gym.Env):
    observation_space = gym.spaces.Box(0, 1, (2,), np.float32)
    action_space = gym.spaces.Discrete(2)

    def __init__(self, when):
        self.when = when

    def reset(self, *, seed=None, options=None):
        if self.when == "reset":
            raise KeyError("a key")
        return np.zeros(2, np.float32), {}

    def step(self, action):
        if self.when == "step":
            return np.zeros((2, 3)) @ np.zeros((2, 3))
        return np.zeros(2, np.float32), 0.0, False

    def render(self):
        raise OSError("no paint")

    def close(self):
        if self.when == "close":
            raise RuntimeError
'''


@pytest.fixture
def breaking(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    (tmp_path / "mavrl_test_breaks.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    import mavrl_test_breaks

    yield lambda when: Intake(mavrl_test_breaks.Breaks(when), "Breaks-v0")
    sys.modules.pop("mavrl_test_breaks", None)


@pytest.mark.parametrize(
    ("when", "message", "line"),
    [
        ("reset", "its reset raises KeyError: 'a key'", 'raise KeyError("a key")'),
        ("step", "step 1 of an episode raises ValueError: matmul", "return np.zeros((2, 3)) @ np.zeros((2, 3))"),
        ("tuple", "step 1 of an episode raises ValueError: not enough values to unpack", None),
        ("render", "rendering it raises OSError: no paint", 'raise OSError("no paint")'),
        ("close", "closing it raises RuntimeError (", "raise RuntimeError"),
    ],
)
def test_an_error_of_the_environment_is_reported_as_that(
    when: str, message: str, line: str | None, breaking: Any, tmp_path: Path
) -> None:
    env = breaking(when)

    def use() -> None:
        env.reset(seed=0)
        if when in ("render", "close"):
            getattr(env, when)()
        env.step(0)

    with pytest.raises(EnvironmentFault) as caught:
        use()
    text = str(caught.value)
    assert text.startswith(f"env.id=Breaks-v0: {message}")
    assert "\n" not in text
    if line is not None:
        number = MODULE.splitlines().index(next(each for each in MODULE.splitlines() if each.strip() == line)) + 1
        assert text.endswith(f"({tmp_path / 'mavrl_test_breaks.py'}, line {number})")
        assert line in caught.value.trace
    assert caught.value.trace.startswith("Traceback")


def test_its_traceback_is_kept_once_also_after_a_process(breaking: Any, tmp_path: Path) -> None:
    with pytest.raises(EnvironmentFault) as caught:
        breaking("reset").reset()
    fault = pickle.loads(pickle.dumps(caught.value))
    assert str(fault) == str(caught.value)
    places = [tmp_path / "run", tmp_path / "here"]
    for place in places:
        place.mkdir()
        fault.keep(place)
    assert (places[0] / "environment_error.txt").read_text() == fault.trace
    assert not list(places[1].iterdir())
    assert str(fault).endswith(f"; the traceback is in {places[0] / 'environment_error.txt'}")


def test_an_interruption_is_none() -> None:
    class Interrupted(Scripted):
        def step(self, action):
            raise KeyboardInterrupt

    env = Intake(Interrupted(), "Interrupted-v0")
    env.reset()
    with pytest.raises(KeyboardInterrupt):
        env.step(0)
