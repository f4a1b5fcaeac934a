"""EnvPool's copies of Gymnasium's environments, written in C++: the same episodes in distribution, in less time."""

import importlib
import importlib.util
import os
import warnings
from types import ModuleType
from typing import Any, Literal

import numpy as np
from jaxtyping import Float, Int

from mavrl.envs.control import ControlEnvironment
from mavrl.envs.stepping import Acted, GymnasiumEnvironments, SteppedEnvironments
from mavrl.errors import ConfigurationError

Vector = Literal["gymnasium", "envpool"]
ALIKE = ("CartPole-v1", "Acrobot-v1", "LunarLander-v3", "MountainCar-v0")  # what the tests compare with Gymnasium's


def stepped_environments(environment: ControlEnvironment, count: int, vector: Vector) -> SteppedEnvironments:
    """Copies of an environment, by Gymnasium or by EnvPool.

    Raises:
        ConfigurationError: see `check_vector`, and `ControlEnvironment.check`.
    """
    check_vector(environment, vector)
    return (PooledEnvironments if vector == "envpool" else GymnasiumEnvironments)(environment, count)


def check_vector(environment: ControlEnvironment, vector: Vector) -> None:
    """
    Raises:
        ConfigurationError: EnvPool is asked for and not installed, or does not have the environment as it is described.
    """
    if vector != "envpool":
        return
    if environment.id not in ALIKE:
        raise ConfigurationError("policy.vector", vector, f"has {', '.join(ALIKE)}, not {environment.id}")
    for key in ("kwargs", "perturbation", "teacher_reward", "wrappers"):
        if value := getattr(environment, key):
            raise ConfigurationError(
                "policy.vector", vector, f"has the environment as it is, without env.{key}={value}"
            )
    if importlib.util.find_spec("envpool") is None:
        raise ConfigurationError("policy.vector", vector, "needs the package envpool: pip install 'mavrl[envpool]'")


class PooledEnvironments(SteppedEnvironments):
    """Environments of EnvPool, in one thread.

    It would begin a new episode in the step after the one that ends an episode; here episodes are begun before that,
    and time limits are counted here, so it never does. Its seeds are those of a pool, so `reset` makes a new one.

    Args:
        environment: of which.
        count: copies, at most.
    """

    def __init__(self, environment: ControlEnvironment, count: int) -> None:
        size = environment.observation_size - environment.fixed_horizon
        super().__init__(environment, size, environment.time_limit)
        self._pool: Any = None

    def close(self) -> None:
        if self._pool is not None:
            self._pool.close()

    def _begin(self, seeds: Int[np.ndarray, "N"]) -> Float[np.ndarray, "N O"]:
        envpool = _imported()
        self.close()
        never = np.iinfo(np.int32).max
        with warnings.catch_warnings(action="ignore"):  # about the precision of its bounds
            self._pool = envpool.make_gymnasium(
                self._id, num_envs=len(seeds), seed=seeds.tolist(), num_threads=1, max_episode_steps=never
            )
            return self._pool.reset()[0].copy()

    def _again(self, which: Int[np.ndarray, "K"]) -> Float[np.ndarray, "K O"]:
        return self._pool.reset(which.astype(np.int32))[0]

    def _act(self, actions: Int[np.ndarray, "N"]) -> Acted:
        following, reward, terminated, truncated, _ = self._pool.step(actions.astype(np.int32))
        return Acted(following.copy(), reward.astype(np.float64), terminated.copy(), truncated.copy())


def _imported() -> ModuleType:
    """EnvPool, without the environment variables that it sets for libraries that are not used here."""
    before = set(os.environ)
    module = importlib.import_module("envpool")
    for name in set(os.environ) - before:
        del os.environ[name]
    return module
