"""Many copies of a control environment, stepped together for the training of policies."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import NamedTuple

import gymnasium as gym
import numpy as np
from gymnasium.wrappers import OrderEnforcing, TimeLimit
from jaxtyping import Bool, Float, Int

from mavrl.envs.control import ControlEnvironment
from mavrl.envs.intake import LARGEST, ActionIntake, fault_of, taken_observation, taken_reward
from mavrl.errors import MavrlError


@dataclass(frozen=True)
class Stepped:
    """What one step of N environments gives.

    Args:
        following: observation that the step leads to.
        observation: what is acted on next: the same, or the first observation of a new episode.
        reward: true reward.
        terminated, truncated: what ended the episode, if it ended; both only where both happened in this step.
    """

    following: Float[np.ndarray, "N O"]
    observation: Float[np.ndarray, "N O"]
    reward: Float[np.ndarray, "N"]
    terminated: Bool[np.ndarray, "N"]
    truncated: Bool[np.ndarray, "N"]


class Acted(NamedTuple):
    """What environments give for one step, before time limits, fixed horizons and new episodes."""

    following: Float[np.ndarray, "N O"]
    reward: Float[np.ndarray, "N"]
    terminated: Bool[np.ndarray, "N"]
    truncated: Bool[np.ndarray, "N"]


class SteppedEnvironments(ABC):
    """Copies of an environment; one whose episode ends is reset in the same step.

    They give what `ControlEnvironment.training_vector` gives, in less time: what they give is checked once a step for
    all of them, and time limits and fixed horizons are counted for all of them, so that an environment needs no
    wrapper and one in its absorbing state no step. An episode depends on its seed and its actions, and on nothing that
    runs beside it.

    Args:
        environment: of which.
        size: features of an observation, without that of the absorbing state.
        limit: steps after which an episode is truncated here; None for never.
    """

    def __init__(self, environment: ControlEnvironment, size: int, limit: int | None) -> None:
        self._id = environment.id
        self._absorbs = environment.fixed_horizon
        self._size, self._limit = size, limit
        self._elapsed = np.zeros(0, dtype=np.int64)
        self._absorbed = np.zeros(0, dtype=bool)
        self._seen = np.zeros((0, size), dtype=np.float32)

    def reset(self, seeds: Int[np.ndarray, "N"]) -> Float[np.ndarray, "N O"]:
        """Begin new episodes in the first N copies, each with its seed; the others rest.

        Returns:
            Their first observations.

        Raises:
            ConfigurationError: an observation is none.
            EnvironmentFault: the environment raises an error of its own.
        """
        n = len(seeds)
        self._elapsed, self._absorbed = np.zeros(n, dtype=np.int64), np.zeros(n, dtype=bool)
        self._seen = self._begin(seeds)
        self._check(self._seen)
        return self._extended(self._seen)

    def step(self, actions: Int[np.ndarray, "N"] | Float[np.ndarray, "N D"]) -> Stepped:
        """One step of each environment that `reset` began.

        Raises:
            ConfigurationError: an observation or a reward is none.
            EnvironmentFault: the environment raises an error of its own.
        """
        self._elapsed += 1
        following, reward, terminated, truncated = self._act(actions)
        if self._absorbs:
            rests = self._absorbed
            following[rests], reward[rests], terminated[rests], truncated[rests] = self._seen[rests], 0.0, True, False
        self._check(following, reward)
        if self._limit is not None:
            truncated |= self._elapsed >= self._limit
        if self._absorbs:
            self._absorbed, terminated = terminated, np.zeros(len(terminated), dtype=bool)
        self._seen = following
        following = observation = self._extended(following)
        over = terminated | truncated
        if over.any():
            observation = self._begun(following, over)
        return Stepped(following, observation, reward, terminated, truncated)

    @abstractmethod
    def close(self) -> None:
        """Close all environments."""

    @abstractmethod
    def _begin(self, seeds: Int[np.ndarray, "N"]) -> Float[np.ndarray, "N O"]:
        """New episodes in the first N copies."""

    @abstractmethod
    def _again(self, which: Int[np.ndarray, "K"]) -> Float[np.ndarray, "K O"]:
        """New episodes in these copies, with the randomness that goes on from the last ones."""

    @abstractmethod
    def _act(self, actions: Int[np.ndarray, "N"] | Float[np.ndarray, "N D"]) -> Acted:
        """New arrays of one step; what those in their absorbing state give is not read."""

    def _begun(self, following: np.ndarray, over: np.ndarray) -> np.ndarray:
        """The observations, with the first one of a new episode where one is over."""
        observation = following.copy()
        self._elapsed[over] = 0
        self._absorbed[over] = False
        first = self._again(np.flatnonzero(over))
        self._check(first)
        observation[over] = 0.0
        observation[over, : self._size] = first
        return observation

    def _extended(self, seen: np.ndarray) -> np.ndarray:
        return np.append(seen, self._absorbed[:, None].astype(np.float32), axis=1) if self._absorbs else seen

    def _moment(self, i: int) -> str:
        return f"step {self._elapsed[i]} of an episode" if self._elapsed[i] else "its reset"

    def _check(self, seen: np.ndarray, reward: np.ndarray | None = None) -> None:
        if not np.vdot(seen, seen) <= LARGEST:  # the quickest way to see that nothing is infinite or NaN
            space = gym.spaces.Box(-np.inf, np.inf, (self._size,), np.float32)
            for i, row in enumerate(seen):
                taken_observation(row, space, self._id, self._moment(i))
        if reward is not None and not np.isfinite(reward).all():
            i = int(np.flatnonzero(~np.isfinite(reward))[0])
            taken_reward(float(reward[i]), self._id, self._moment(i))


class GymnasiumEnvironments(SteppedEnvironments):
    """Environments as Gymnasium makes them, in this process.

    Args:
        environment: of which.
        count: copies.

    Raises:
        ConfigurationError: see `ControlEnvironment.check`.
        EnvironmentFault: the environment raises an error of its own.
    """

    def __init__(self, environment: ControlEnvironment, count: int) -> None:
        made = [environment.make_bare() for _ in range(count)]
        observations, actions = made[0].observation_space, made[0].action_space
        assert isinstance(observations, gym.spaces.Box)
        self._space, self._taken, self._numbered = observations, ActionIntake(actions), actions.shape == ()
        self._envs = [_peeled(environment, env) for env in made]
        counted = environment.fixed_horizon or self._envs[0] is not made[0]
        super().__init__(environment, observations.shape[0], environment.time_limit if counted else None)
        self._running = self._envs

    def close(self) -> None:
        for env in self._envs:
            try:
                env.close()
            except Exception as error:
                raise fault_of(self._id, "closing it", error) from error

    def _begin(self, seeds: Int[np.ndarray, "N"]) -> Float[np.ndarray, "N O"]:
        self._running = self._envs[: len(seeds)]
        return np.stack([self._first(i, seed) for i, seed in enumerate(seeds.tolist())])

    def _again(self, which: Int[np.ndarray, "K"]) -> Float[np.ndarray, "K O"]:
        return np.stack([self._first(i, None) for i in which.tolist()])

    def _first(self, i: int, seed: int | None) -> np.ndarray:
        try:
            given, _ = self._running[i].reset(seed=seed)
        except Exception as error:
            raise fault_of(self._id, "its reset", error) from error
        return taken_observation(given, self._space, self._id, "its reset").astype(np.float32)

    def _act(self, actions: Int[np.ndarray, "N"] | Float[np.ndarray, "N D"]) -> Acted:
        n = len(self._running)
        following, reward = np.zeros((n, self._size), dtype=np.float32), np.zeros(n)
        terminated, truncated = np.zeros(n, dtype=bool), np.zeros(n, dtype=bool)
        taken = self._taken(actions)
        taken = taken.tolist() if self._numbered else list(taken)  # environments check a number of Python's sooner
        dtype, shape = self._space.dtype, self._space.shape
        acting = zip(range(n), self._running, taken, strict=True)
        if self._absorbed.any():
            acting = [each for each in acting if not self._absorbed[each[0]]]
        i = 0
        try:
            for i, env, action in acting:
                given, paid, over, cut, _ = env.step(action)
                if not (type(given) is np.ndarray and given.dtype == dtype and given.shape == shape):
                    given = taken_observation(given, self._space, self._id, self._moment(i))
                following[i] = given
                reward[i] = paid if isinstance(paid, float) else taken_reward(paid, self._id, self._moment(i))
                if over:
                    terminated[i] = True
                if cut:
                    truncated[i] = True
        except MavrlError:
            raise
        except Exception as error:
            raise fault_of(self._id, self._moment(i), error) from error
        return Acted(following, reward, terminated, truncated)


def _peeled(environment: ControlEnvironment, env: gym.Env) -> gym.Env:
    """The environment without the wrappers that Gymnasium puts around every one, where those are the outermost."""
    if environment.time_limit is not None:
        if type(env) is not TimeLimit:
            return env
        env = env.env
    return env.env if type(env) is OrderEnforcing else env
