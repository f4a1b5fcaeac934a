"""What an environment gives is taken in here, once: for simulation, experts, policies and evaluation alike."""

import os
import sysconfig
import traceback
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces

from mavrl.actions import VectorActions, actions_of
from mavrl.errors import ConfigurationError, EnvironmentFault

LARGEST = float(np.finfo(np.float32).max)  # observations are kept in float32
_LONGEST_TEXT = 80  # characters of a value in a message
_LIBRARIES = (Path(__file__).parents[1], *map(sysconfig.get_path, ("stdlib", "platstdlib", "purelib", "platlib")))
_NOT_THE_USER_S = ("<frozen ", *(f"{place}{os.sep}" for place in _LIBRARIES))  # how names of files begin there


class Intake(gym.Wrapper, gym.utils.RecordConstructorArgs):
    """An environment of vector observations whose every value is what it should be.

    - Every reset is the same call, without options: an episode depends on its seed and on nothing that runs beside it.
    - Actions are numbered from 0, whatever number the environment's first one has; or vectors, which are
      put into the unit box and taken from there to the environment's bounds.
    - Observations are new arrays, of the shape and kind that their space says, and finite in float32.
    - Rewards are finite numbers; an array that holds one number is that number.
    - Nothing beyond reads infos, which may be anything: they are left out.

    Args:
        env: has a one-dimensional Box of observations; its actions are Discrete or a bounded one-dimensional Box.
        env_id: names it in errors.

    Raises:
        EnvironmentFault: by `reset`, `step`, `render` and `close`, for whatever error the environment raises there.
        ConfigurationError: by `reset` and `step`, for an observation or a reward that is none.
    """

    def __init__(self, env: gym.Env, env_id: str) -> None:
        gym.utils.RecordConstructorArgs.__init__(self, env_id=env_id)
        gym.Wrapper.__init__(self, env)
        observations = env.observation_space
        assert isinstance(observations, spaces.Box)
        self._env_id = env_id
        self._shape, self._dtype = observations.shape, observations.dtype
        self._taken = ActionIntake(env.action_space)
        self.action_space = self._taken.space
        self._steps = 0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None):
        self._steps = 0
        try:
            observation, _ = self.env.reset(seed=seed)  # a vector environment passes options to some resets
        except Exception as error:
            raise fault_of(self._env_id, self._moment, error) from error
        return self._observation(observation), {}

    def step(self, action):
        self._steps += 1
        try:
            observation, reward, terminated, truncated, _ = self.env.step(self._taken(action))
            over = bool(terminated), bool(truncated)
        except ConfigurationError:  # of a wrapper inside, which names its own key
            raise
        except Exception as error:
            raise fault_of(self._env_id, self._moment, error) from error
        return self._observation(observation), self._reward(reward), *over, {}

    def render(self) -> Any:
        try:
            return super().render()
        except Exception as error:
            raise fault_of(self._env_id, "rendering it", error) from error

    def close(self) -> None:
        try:
            super().close()
        except Exception as error:
            raise fault_of(self._env_id, "closing it", error) from error

    @property
    def _moment(self) -> str:
        return f"step {self._steps} of an episode" if self._steps else "its reset"

    def _observation(self, given: Any) -> np.ndarray:
        if isinstance(given, np.ndarray) and given.dtype == self._dtype and given.shape == self._shape:
            seen = given.copy()  # some environments change theirs in place
            if seen.dot(seen) <= LARGEST:  # the quickest way to see that nothing is infinite or NaN
                return seen
        assert isinstance(self.env.observation_space, spaces.Box)
        return taken_observation(given, self.env.observation_space, self._env_id, self._moment)

    def _reward(self, given: Any) -> float:
        return taken_reward(given, self._env_id, self._moment)


class ActionIntake:
    """What is done to actions before an environment gets them: any array of them at once.

    Args:
        space: of the environment's actions.

    Attributes:
        space: of those that are given here.
    """

    def __init__(self, space: spaces.Space) -> None:
        self.space = space
        self._first, self._dtype, self._actions = 0, space.dtype, actions_of(space)
        if isinstance(space, spaces.Discrete) and space.start:
            self._first, self.space = int(space.start), spaces.Discrete(int(space.n))
        if isinstance(self._actions, VectorActions):
            self.space = spaces.Box(-1.0, 1.0, (self._actions.size,), np.float32)

    def __call__(self, action: Any) -> Any:
        if isinstance(self._actions, VectorActions):
            return self._actions.from_unit(np.clip(action, -1.0, 1.0)).astype(self._dtype, copy=False)
        return action + self._first if self._first else action


def taken_observation(given: Any, space: spaces.Box, env_id: str, moment: str) -> np.ndarray:
    """A new array of what an environment gives as its observation.

    Args:
        space: of the environment's observations, one-dimensional.
        moment: what the environment was doing.

    Raises:
        ConfigurationError: it is none.
    """
    seen = _array(given)
    kind = seen.dtype == space.dtype or np.can_cast(seen.dtype, space.dtype, "same_kind")
    if not kind or seen.shape != space.shape or not (np.abs(seen) <= LARGEST).all():
        must = f"must be {space.shape[0]} finite numbers ({space.dtype}), as observation_space says"
        raise _refused("observation", given, env_id, moment, must)
    return seen


def taken_reward(given: Any, env_id: str, moment: str) -> float:
    """What an environment gives as its reward, as a number.

    Raises:
        ConfigurationError: it is none, or not finite.
    """
    if isinstance(given, float):
        number = float(given)
    else:
        seen = _array(given)
        number = float(seen.reshape(())) if seen.size == 1 and seen.dtype.kind in "biuf" else np.nan
    if not abs(number) < np.inf:
        raise _refused("reward", given, env_id, moment, "must be a finite number")
    return number


def _refused(what: str, given: Any, env_id: str, moment: str, must: str) -> ConfigurationError:
    text = " ".join(str(given).split())
    text = text if len(text) <= _LONGEST_TEXT else f"{text[:_LONGEST_TEXT]}..."
    return ConfigurationError("env.id", env_id, f"{moment} gives the {what} {text}, which {must}")


def fault_of(env_id: str, moment: str, error: Exception) -> EnvironmentFault:
    """The error of an environment as one line, with its traceback for a file.

    Args:
        moment: what the environment was doing.
    """
    text = " ".join(f"{type(error).__name__}: {error}".split()).removesuffix(":")
    place = _place(error)
    trace = "".join(traceback.format_exception(error))
    allowed = f"{moment} raises {text} ({place.filename}, line {place.lineno})"
    return EnvironmentFault("env.id", env_id, allowed, trace)


def _place(error: BaseException) -> traceback.FrameSummary:
    """Where an error arose: the last line of the user's, if there is one, and otherwise the last of all."""
    chain = [error]
    while chain[-1].__cause__ is not None:
        chain.append(chain[-1].__cause__)
    for each in reversed(chain):
        lines = traceback.extract_tb(each.__traceback__)
        own = [line for line in lines if not line.filename.startswith(_NOT_THE_USER_S)]
        if own:
            return own[-1]
    return traceback.extract_tb(error.__traceback__)[-1]


def _array(given: Any) -> np.ndarray:
    """A new array of the value; of objects where it is no array of numbers."""
    try:
        return np.array(given)
    except Exception:  # whatever it is, it is no number
        return np.array(None)
