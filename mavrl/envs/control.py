"""Control environments of Gymnasium, described by plain values and made wherever they are needed."""

import difflib
import importlib
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import gymnasium as gym
from gymnasium import spaces
from gymnasium.envs.registration import EnvSpec
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from mavrl.envs.fixed_horizon import FixedHorizon
from mavrl.envs.perturbation import perturbed
from mavrl.errors import ConfigurationError


@dataclass(frozen=True)
class ControlEnvironment:
    """How to make a control environment: observations are vectors, actions are numbered from 0.

    It holds no environment, so it can be sent to another process.

    Args:
        id: as `gym.make` takes it, with its version; "module:Name-v0" imports the module first.
        kwargs: arguments of the environment's constructor.
        max_steps: steps after which an episode is truncated; None for the limit that is registered with the id.
        perturbation: changes of the dynamics (`mavrl.envs.perturbation`).
        fixed_horizon: whether all episodes last `time_limit` steps (`mavrl.envs.fixed_horizon`).
    """

    id: str
    kwargs: dict[str, Any] = field(default_factory=dict)
    max_steps: int | None = None
    perturbation: dict[str, float] = field(default_factory=dict)
    fixed_horizon: bool = False

    def make(self) -> gym.Env:
        """A new environment.

        Raises:
            ConfigurationError: see `check`.
        """
        time_limit = self.time_limit
        if self.fixed_horizon and time_limit is None:
            allowed = f"a fixed horizon needs a time limit of at least 1, and {self.id} is registered without one"
            raise ConfigurationError("env.max_steps", None, allowed)
        env = perturbed(self._registered(), self.perturbation)
        return FixedHorizon(env, time_limit) if self.fixed_horizon and time_limit is not None else env

    def check(self) -> None:
        """Makes an environment and closes it.

        Raises:
            ConfigurationError: the id is not registered, its package is missing, observations are not vectors or
                actions not numbered from 0 (`env.id`); the constructor refuses `env.kwargs`; `env.max_steps` is not a
                number of steps, or missing where it is needed; a value of `env.perturbation` is not allowed.
        """
        self.make().close()

    def vector(self, n: int) -> SyncVectorEnv:
        """`n` environments in this process that never reset by themselves: an episode ends where it ends."""
        return SyncVectorEnv([self.make] * n, autoreset_mode=AutoresetMode.DISABLED)

    def training_vector(self, n: int) -> SyncVectorEnv:
        """`n` environments in this process; one whose episode ends is reset in the same step (`info["final_obs"]`)."""
        return SyncVectorEnv([self.make] * n, autoreset_mode=AutoresetMode.SAME_STEP)

    @property
    def observation_size(self) -> int:
        """Features of an observation, with the one of the absorbing state where the horizon is fixed."""
        return self._sizes[0]

    @property
    def n_actions(self) -> int:
        return self._sizes[1]

    @property
    def time_limit(self) -> int | None:
        """Steps after which an episode is truncated; None when there is no limit."""
        if self.max_steps is None:
            return self._spec().max_episode_steps
        if self.max_steps < 1:
            allowed = "at least 1, or null for the limit that is registered with the environment"
            raise ConfigurationError("env.max_steps", self.max_steps, allowed)
        return self.max_steps

    @cached_property
    def _sizes(self) -> tuple[int, int]:
        env = self.make()
        env.close()
        assert isinstance(env.observation_space, spaces.Box)
        assert isinstance(env.action_space, spaces.Discrete)
        return env.observation_space.shape[0], int(env.action_space.n)

    def _spec(self) -> EnvSpec:
        module, _, name = self.id.rpartition(":")
        if module:
            try:
                importlib.import_module(module)
            except ImportError as error:
                raise ConfigurationError("env.id", self.id, f"cannot import {module}: {_one_line(error)}") from error
        if name not in gym.registry:
            nearest = difflib.get_close_matches(name, list(gym.registry), n=3)
            suggestion = f"the nearest are {', '.join(nearest)}" if nearest else "gymnasium.pprint_registry() lists all"
            raise ConfigurationError("env.id", self.id, f"not registered with Gymnasium; {suggestion}")
        return gym.registry[name]

    def _registered(self) -> gym.Env:
        """The environment as Gymnasium makes it, with errors that name the key."""
        self._spec()
        if "max_episode_steps" in self.kwargs:
            value = self.kwargs["max_episode_steps"]
            raise ConfigurationError("env.kwargs.max_episode_steps", value, "the time limit is env.max_steps")
        try:
            env = gym.make(self.id, max_episode_steps=self.max_steps, **self.kwargs)
        except (gym.error.Error, ImportError) as error:
            raise ConfigurationError("env.id", self.id, f"cannot be made: {_one_line(error)}") from error
        except (TypeError, ValueError, AssertionError) as error:
            if not self.kwargs:
                raise
            allowed = f"{self.id} does not take these: {_one_line(error)}"
            raise ConfigurationError("env.kwargs", self.kwargs, allowed) from error
        _check_spaces(self.id, env)
        return env


def _check_spaces(env_id: str, env: gym.Env) -> None:
    observations, actions = env.observation_space, env.action_space
    if not isinstance(observations, spaces.Box) or len(observations.shape) != 1:
        raise ConfigurationError("env.id", env_id, f"observations must be a one-dimensional Box, not {observations}")
    if not isinstance(actions, spaces.Discrete) or actions.start != 0:
        raise ConfigurationError("env.id", env_id, f"actions must be Discrete and start at 0, not {actions}")


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
