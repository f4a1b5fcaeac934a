"""The reward of an environment as its teacher sees it: a weighted sum of parts that the environment gives anyway."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import gymnasium as gym
import numpy as np

from mavrl.errors import ConfigurationError

KEY = "env.teacher_reward"
PARTS = ("reward", "observation", "info", "action", "constant")
Part = Mapping[str, Any]  # such as {observation: 0, weight: -1.0, clip: [-1, 1]}, or {constant: 1.0}

_LONGEST_TEXT = 60  # characters of a value in a message


class TeacherReward(gym.Wrapper, gym.utils.RecordConstructorArgs):
    """An environment whose reward is the sum of weight * part over some parts of each step.

    - `reward: k` is entry k of the environment's own reward, which may be a vector; a number is entry 0.
    - `observation: k` is feature k of the observation after the step.
    - `info: name` is a number or a truth value in the step's info, with dots between the names of nested ones.
    - `action: k` is 1 where the action was number k, counted from 0, and 0 elsewhere; where actions are vectors it is
      entry k, in the environment's units.
    - `constant: x` is x, and has no weight.

    `clip: [low, high]` keeps the value of a part in that range, before it is weighted.

    Args:
        env: has a one-dimensional Box of observations; its actions are Discrete or a one-dimensional Box.
        parts: at least one, each a mapping of one of `PARTS`, `weight` and perhaps `clip`.
        env_id: names it in errors.

    Raises:
        ConfigurationError: by the constructor, for a part that there is not; by `step`, for one that only a step shows
            to be missing.
    """

    def __init__(self, env: gym.Env, parts: Sequence[Part], env_id: str) -> None:
        gym.utils.RecordConstructorArgs.__init__(self, parts=parts, env_id=env_id)
        gym.Wrapper.__init__(self, env)
        self._parts = [(number, name_of(part, number), part) for number, part in enumerate(parts)]
        self._env_id = env_id
        self._vectors = isinstance(env.action_space, gym.spaces.Box)
        sizes = {
            "observation": (_length(env.observation_space), "features of an observation"),
            "action": (_length(env.action_space), "numbers of an action")
            if self._vectors
            else (int(getattr(env.action_space, "n", 0)), "actions"),
        }
        if isinstance(space := getattr(env.unwrapped, "reward_space", None), gym.spaces.Box):  # mo-gymnasium
            sizes["reward"] = (_length(space), "entries of a reward")
        for number, name, part in self._parts:
            if name in sizes:
                self._check_index(number, name, part[name], *sizes[name])
        self._first_action = int(getattr(env.action_space, "start", 0))

    def step(self, action):
        observation, reward, terminated, truncated, info = self.env.step(action)
        given = {"reward": reward, "observation": observation, "info": info, "action": action}
        paid = sum(self._paid(number, name, part, given) for number, name, part in self._parts)
        return observation, float(paid), terminated, truncated, info

    def _paid(self, number: int, name: str, part: Part, given: Mapping[str, Any]) -> float:
        if name == "constant":
            return float(part[name])
        value = getattr(self, f"_{name}")(number, part[name], given[name])
        low, high = part.get("clip") or (-np.inf, np.inf)
        return float(part["weight"]) * min(max(value, low), high)

    def _reward(self, number: int, index: int, reward: Any) -> float:
        entries = np.asarray(reward, dtype=np.float64).reshape(-1)
        self._check_index(number, "reward", index, len(entries), "entries of a reward")
        return float(entries[index])

    def _observation(self, number: int, index: int, observation: Any) -> float:
        return float(np.asarray(observation).reshape(-1)[index])

    def _action(self, number: int, index: int, action: Any) -> float:
        if self._vectors:
            return float(np.asarray(action).reshape(-1)[index])
        return float(int(action) - self._first_action == index)

    def _info(self, number: int, name: str, info: Any) -> float:
        value: Any = info
        for key in name.split("."):
            value = value.get(key) if isinstance(value, Mapping) else None
        if not _is_number(value):
            names = ", ".join(_names(info)) or "none"
            allowed = f"must name a number in the info of a step of {self._env_id}; there are: {names}"
            raise ConfigurationError(f"{KEY}[{number}].info", _short(name), allowed)
        return float(value)

    def _check_index(self, number: int, name: str, index: int, size: int, what: str) -> None:
        if index >= size:
            allowed = f"must be a whole number below {size}, the number of {what} in {self._env_id}"
            raise ConfigurationError(f"{KEY}[{number}].{name}", index, allowed)


def name_of(part: Part, number: int) -> str:
    """The one of `PARTS` that a part is.

    Args:
        number: of the part, for the message.

    Raises:
        ConfigurationError: it is none, or several.
    """
    names = [name for name in PARTS if name in part]
    if len(names) != 1:
        raise ConfigurationError(f"{KEY}[{number}]", _short(dict(part)), f"must have one of {', '.join(PARTS)}")
    return names[0]


def check_step(env: gym.Env) -> None:
    """Take one step, which shows whether all parts are there.

    Args:
        env: with a `TeacherReward` in it.

    Raises:
        ConfigurationError: one is not.
    """
    env.reset(seed=0)
    actions = env.action_space
    env.step(np.zeros(actions.shape, actions.dtype) if isinstance(actions, gym.spaces.Box) else 0)


def _length(space: gym.Space) -> int:
    return int(np.prod(space.shape or ()))


def _is_number(value: Any) -> bool:
    return isinstance(value, (bool, int, float, np.bool_, np.number)) and bool(np.isfinite(value))


def _names(info: Any, prefix: str = "") -> Iterator[str]:
    """Dotted names of all numbers in an info."""
    for key, value in info.items() if isinstance(info, Mapping) else ():
        if isinstance(value, Mapping):
            yield from _names(value, f"{prefix}{key}.")
        elif _is_number(value):
            yield f"{prefix}{key}"


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= _LONGEST_TEXT else f"{text[:_LONGEST_TEXT]}..."
