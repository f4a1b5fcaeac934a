"""Control environments of Gymnasium, described by plain values and made wherever they are needed."""

import difflib
import importlib
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import gymnasium as gym
from gymnasium import spaces
from gymnasium.envs.registration import EnvSpec
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from mavrl.actions import Actions, actions_of
from mavrl.envs.fixed_horizon import FixedHorizon
from mavrl.envs.intake import Intake, fault_of
from mavrl.envs.mujoco import hear_warnings
from mavrl.envs.perturbation import perturbed
from mavrl.envs.teacher_reward import Part, TeacherReward, check_step
from mavrl.envs.wrappers import Wrapping, wrapped
from mavrl.errors import ConfigurationError


@dataclass(frozen=True)
class ControlEnvironment:
    """How to make a control environment: observations are vectors, actions are numbered or vectors in a box.

    It holds no environment, so it can be sent to another process. What the environments that it makes give is checked
    where it comes in (`mavrl.envs.intake`).

    Args:
        id: as `gym.make` takes it, with its version; "module:Name-v0" imports the module first.
        kwargs: arguments of the environment's constructor.
        max_steps: steps after which an episode is truncated; None for the limit that is registered with the id.
        perturbation: changes of the dynamics (`mavrl.envs.perturbation`).
        fixed_horizon: whether all episodes last `time_limit` steps (`mavrl.envs.fixed_horizon`).
        wrappers: Gymnasium's own ones around it (`mavrl.envs.wrappers`), the first of them innermost.
        teacher_reward: parts that its reward is made of (`mavrl.envs.teacher_reward`); empty for its own reward.
    """

    id: str
    kwargs: dict[str, Any] = field(default_factory=dict)
    max_steps: int | None = None
    perturbation: dict[str, float] = field(default_factory=dict)
    fixed_horizon: bool = False
    wrappers: Sequence[Wrapping] = ()
    teacher_reward: Sequence[Part] = ()

    def make(self) -> gym.Env:
        """A new environment.

        Raises:
            ConfigurationError: see `check`.
        """
        time_limit = self.time_limit
        if self.fixed_horizon and time_limit is None:
            allowed = f"a fixed horizon needs a time limit of at least 1, and {self.id} is registered without one"
            raise ConfigurationError("env.max_steps", None, allowed)
        env = Intake(self.make_bare(), self.id)
        return FixedHorizon(env, time_limit) if self.fixed_horizon and time_limit is not None else env

    def make_bare(self) -> gym.Env:
        """A new environment whose values nobody checks and whose episodes end where they end.

        Raises:
            ConfigurationError: see `check`.
        """
        env = wrapped(perturbed(self._registered(), self.perturbation), self.wrappers)
        _check_spaces(self.id, env)
        return TeacherReward(env, self.teacher_reward, self.id) if self.teacher_reward else env

    def filmed(self) -> "ControlEnvironment":
        """The same environment whose `render` gives pictures, where it can."""
        return replace(self, kwargs={**self.kwargs, "render_mode": "rgb_array"})

    def check(self) -> None:
        """Makes an environment and closes it; where its reward is made of parts, after a step that shows them.

        Raises:
            ConfigurationError: the id is not registered, its package is missing, observations are not vectors or
                actions neither numbered nor vectors in a box (`env.id`); the constructor refuses `env.kwargs`;
                `env.max_steps` is not a number of steps, or missing where it is needed; a value of `env.perturbation`
                or `env.wrappers` is not allowed; the environment has not a part of `env.teacher_reward`.
            EnvironmentFault: its module or its constructor raises an error of its own.
        """
        env = self.make()
        try:
            if self.teacher_reward:
                check_step(env)
        finally:
            env.close()

    def vector(self, n: int) -> SyncVectorEnv:
        """`n` environments in this process that never reset by themselves: an episode ends where it ends."""
        return self._vector(n, AutoresetMode.DISABLED)

    def training_vector(self, n: int) -> SyncVectorEnv:
        """`n` environments in this process; one whose episode ends is reset in the same step (`info["final_obs"]`)."""
        return self._vector(n, AutoresetMode.SAME_STEP)

    def _vector(self, n: int, autoreset_mode: AutoresetMode) -> SyncVectorEnv:
        # "different": bounds that an environment draws for itself may differ, as long as the shapes do not
        return SyncVectorEnv([self.make] * n, observation_mode="different", autoreset_mode=autoreset_mode)

    @property
    def observation_size(self) -> int:
        """Features of an observation, with the one of the absorbing state where the horizon is fixed."""
        return self._sizes[0]

    @property
    def actions(self) -> Actions:
        """The actions, with their bounds in the environment's units."""
        return self._sizes[1]

    @property
    def time_limit(self) -> int | None:
        """Steps after which an episode is truncated; None when there is no limit."""
        if self.max_steps is None:
            limit = self._spec().max_episode_steps
            if limit is None or limit == -1:  # Gymnasium's word for none
                return None
            if not isinstance(limit, int) or limit < 1:
                allowed = f"its registered max_episode_steps={limit} is no number of steps; set env.max_steps"
                raise ConfigurationError("env.id", self.id, allowed)
            return limit
        if self.max_steps < 1:
            allowed = "at least 1, or null for the limit that is registered with the environment"
            raise ConfigurationError("env.max_steps", self.max_steps, allowed)
        return self.max_steps

    @cached_property
    def _sizes(self) -> tuple[int, Actions]:
        env = self.make_bare()
        env.close()
        assert isinstance(env.observation_space, spaces.Box)
        actions = actions_of(env.action_space)
        assert actions is not None
        return env.observation_space.shape[0] + self.fixed_horizon, actions

    def _spec(self) -> EnvSpec:
        module, _, name = self.id.rpartition(":")
        if module:
            try:
                importlib.import_module(module)
            except ImportError as error:
                raise ConfigurationError("env.id", self.id, f"cannot import {module}: {_one_line(error)}") from error
            except Exception as error:
                raise fault_of(self.id, f"importing {module}", error) from error
        if name not in gym.registry:
            nearest = difflib.get_close_matches(name, list(gym.registry), n=3)
            suggestion = f"the nearest are {', '.join(nearest)}" if nearest else "gymnasium.pprint_registry() lists all"
            raise ConfigurationError("env.id", self.id, f"not registered with Gymnasium; {suggestion}")
        return gym.registry[name]

    def _registered(self) -> gym.Env:
        """The environment as Gymnasium makes it, with errors that name the key."""
        hear_warnings(self._spec())
        if "max_episode_steps" in self.kwargs:
            value = self.kwargs["max_episode_steps"]
            raise ConfigurationError("env.kwargs.max_episode_steps", value, "the time limit is env.max_steps")
        limit = -1 if self.time_limit is None else self.time_limit
        try:
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", message=".*precision lowered by casting")  # which does no harm
                warnings.filterwarnings(
                    "ignore", message=".*out of date"
                )  # said at each copy; the id is the user's wish
                # Gymnasium's checker warns of what is refused here, and of oddities that do no harm either
                return gym.make(self.id, max_episode_steps=limit, **{"disable_env_checker": True, **self.kwargs})
        except (gym.error.Error, ImportError) as error:
            raise ConfigurationError("env.id", self.id, f"cannot be made: {_one_line(error)}") from error
        except (TypeError, ValueError, AssertionError) as error:
            if not self.kwargs:
                raise fault_of(self.id, "making it", error) from error
            allowed = f"{self.id} does not take these: {_one_line(error)}"
            raise ConfigurationError("env.kwargs", self.kwargs, allowed) from error
        except Exception as error:
            raise fault_of(self.id, "making it", error) from error


def _check_spaces(env_id: str, env: gym.Env) -> None:
    observations, actions = (getattr(env, f"{name}_space", None) for name in ("observation", "action"))
    if not isinstance(observations, spaces.Box) or len(observations.shape) != 1:
        flattens = isinstance(observations, spaces.Space) and observations.is_np_flattenable
        flat = "; env.wrappers=[FlattenObservation] makes one of it" if flattens else ""
        allowed = f"observations must be a one-dimensional Box, not {observations}{flat}"
        raise ConfigurationError("env.id", env_id, allowed)
    if not isinstance(actions, spaces.Space) or actions_of(actions) is None:
        vectors = isinstance(actions, spaces.Box) and len(actions.shape) == 1
        bounded = "; env.wrappers=[{BoundAction: {low: -1.0, high: 1.0}}] bounds them" if vectors else ""
        allowed = f"actions must be Discrete or a one-dimensional Box with finite bounds, not {actions}{bounded}"
        raise ConfigurationError("env.id", env_id, allowed)


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
