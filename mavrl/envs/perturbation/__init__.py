"""Perturbed dynamics of Gymnasium environments: a policy learned in one world is tried in another.

A file for each kind of environment: classic control, Box2D, MuJoCo.
"""

from collections.abc import Mapping

import gymnasium as gym

from mavrl.envs.grid import GridEnv
from mavrl.envs.perturbation.box2d import BOX2D
from mavrl.envs.perturbation.classic import CLASSIC
from mavrl.envs.perturbation.mujoco import MUJOCO
from mavrl.envs.perturbation.setting import Dynamics, Perturbation
from mavrl.errors import ConfigurationError

__all__ = ["PERTURBATIONS", "Dynamics", "Perturbation", "perturbed"]

PERTURBATIONS: dict[str, Dynamics] = {**CLASSIC, **BOX2D, **MUJOCO}  # by the environment's id


def perturbed(env: gym.Env, perturbation: Mapping[str, float]) -> gym.Env:
    """The environment with other dynamics.

    Acts on `env.unwrapped` in place, so that wrappers and time limit stay. A setting that is not named is nominal, and
    nominal dynamics are Gymnasium's to the last bit.

    Args:
        env: made by `gym.make`, before its first reset.
        perturbation: value of each setting, by its name in `PERTURBATIONS`; empty to change nothing.

    Returns:
        The same object.

    Raises:
        ConfigurationError: the environment has no perturbations, a name is unknown or a value out of range.
    """
    for name, value in perturbation.items():
        _check(env, name, value)
    if perturbation:
        PERTURBATIONS[_id(env)].apply(env.unwrapped, perturbation)
    return env


def _id(env: gym.Env) -> str:
    spec = env.unwrapped.spec
    return type(env.unwrapped).__name__ if spec is None else spec.id


def _check(env: gym.Env, name: str, value: object) -> None:
    key = f"env.perturbation.{name}"
    if isinstance(env.unwrapped, GridEnv):
        raise ConfigurationError(key, value, "a grid's dynamics are perturbed by env.p_rand")
    if _id(env) not in PERTURBATIONS:
        raise ConfigurationError(key, value, f"{_id(env)} has no perturbations; {', '.join(PERTURBATIONS)} have")
    settings = PERTURBATIONS[_id(env)].settings
    if name not in settings:
        raise ConfigurationError(key, value, f"unknown; {_id(env)} has {', '.join(settings)}")
    if not settings[name].allows(value):
        raise ConfigurationError(key, value, f"must be {settings[name].allowed}")
