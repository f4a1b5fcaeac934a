"""Wrappers around an environment, by their names and in the order in which its YAML lists them.

They are Gymnasium's own, and one that it lacks: BoundAction.
"""

import difflib
from collections.abc import Mapping, Sequence
from typing import Any

import gymnasium as gym
import numpy as np

from mavrl.errors import ConfigurationError

Wrapping = str | Mapping[str, Mapping[str, Any]]  # a name; or a name with arguments, such as {DelayObservation: {..}}

WRAPPERS = (
    "FlattenObservation",
    "FilterObservation",
    "DtypeObservation",
    "RescaleObservation",
    "ReshapeObservation",
    "DiscretizeObservation",
    "GrayscaleObservation",
    "ResizeObservation",
    "MaxAndSkipObservation",
    "FrameStackObservation",
    "DelayObservation",
    "TimeAwareObservation",
    "DiscretizeAction",
    "ClipAction",
    "BoundAction",
    "RescaleAction",
    "RepeatAction",
    "StickyAction",
    "ClipReward",
)
_BETWEEN_EPISODES = "what it has seen in one episode would change the next, and episodes must not depend on others"
_FUNCTION = "takes a function, which a YAML file cannot hold; register an environment that is wrapped already"
_REASONS = {
    "NormalizeObservation": f"{_BETWEEN_EPISODES}; model.standardize does it for all of them at once",
    "NormalizeReward": _BETWEEN_EPISODES,
    "Autoreset": "episodes must end where they end",
    "TimeLimit": "the time limit is env.max_steps",
    "TransformObservation": _FUNCTION,
    "TransformAction": _FUNCTION,
    "TransformReward": _FUNCTION,
}


class BoundAction(gym.wrappers.TransformAction):
    """Vectors of actions between two bounds, where the environment has none or wider ones.

    Args:
        env: has a Box of actions.
        low, high: bounds of every number.

    Raises:
        TypeError: the actions are no Box.
    """

    def __init__(self, env: gym.Env, low: float, high: float) -> None:
        space = env.action_space
        if not isinstance(space, gym.spaces.Box):
            raise TypeError(f"needs a Box of actions, not {space}")
        least, most = np.maximum(space.low, low), np.minimum(space.high, high)
        bounded = gym.spaces.Box(least.astype(space.dtype), most.astype(space.dtype), dtype=space.dtype.type)
        super().__init__(env, lambda action: np.clip(action, bounded.low, bounded.high), bounded)


_OWN: dict[str, Any] = {"BoundAction": BoundAction}


def wrapped(env: gym.Env, wrappings: Sequence[Wrapping]) -> gym.Env:
    """The environment inside of wrappers, the first of them innermost.

    Args:
        wrappings: names in `WRAPPERS`, each alone or as the one key of a mapping to its arguments.

    Raises:
        ConfigurationError: a name is unknown, or its wrapper does not fit the environment or takes other arguments.
    """
    for wrapping in wrappings:
        name, arguments = (wrapping, {}) if isinstance(wrapping, str) else next(iter(wrapping.items()))
        if name not in WRAPPERS:
            raise ConfigurationError("env.wrappers", name, _REASONS.get(name) or _unknown(name))
        try:
            env = _OWN.get(name, getattr(gym.wrappers, name, None))(env, **arguments)  # type: ignore[misc]
        except Exception as error:
            allowed = " ".join(f"cannot be put around the environment: {type(error).__name__}: {error}".split())
            raise ConfigurationError("env.wrappers", wrapping, allowed) from error
    return env


def _unknown(name: str) -> str:
    nearest = difflib.get_close_matches(name, WRAPPERS, n=1)
    suggestion = f" (did you mean {nearest[0]}?)" if nearest else ""
    return f"no wrapper that can be used{suggestion}; these can: {', '.join(WRAPPERS)}"
