"""Wrappers of environments that pay a learned reward instead of their own: one for an environment, one for many."""

from abc import ABC, abstractmethod
from typing import Any, Literal

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv, VectorWrapper
from jaxtyping import Float

from mavrl.actions import NumberedActions, actions_of
from mavrl.agents.rewards import LearnedRewardSettings, LearnedStepReward
from mavrl.model.reward_model import RewardModel
from mavrl.model.step_reward import StepRewardModel
from mavrl.model.tabular_reward import TabularRewardModel

Use = Literal["mean", "lower_bound", "sample"]
_KAPPA, _CLIP, _TERMINATION_WEIGHT = 2.0, 3.0, 2.0  # as policy=ppo has them
_UNLIMITED = float(np.finfo(np.float32).max)


class LearnedReward(gym.Wrapper, gym.utils.RecordConstructorArgs):
    """Replaces the reward of each step by a learned one; the true one is in `info["true_reward"]`.

    Args:
        env: the environment that the model is of. Observations of a finite one are state numbers or one-hot vectors.
        model: one replicate of a reward model, `model[k]`.
        use: the posterior "mean"; "lower_bound", the mean minus twice the standard deviation between its members; or
            one "sample" of the reward function.
        seed: which sample.
        standardize: pay as `policy=ppo` is paid: with mean 0 and standard deviation 1 on the feedback, clipped at 3,
            and with the prior's worth of an episode's end. For mean and lower bound of models of steps.

    Raises:
        ValueError: the model has several replicates, does not fit the environment, or cannot be used so.
    """

    def __init__(
        self, env: gym.Env, model: RewardModel, use: Use = "mean", seed: int = 0, standardize: bool = False
    ) -> None:
        gym.utils.RecordConstructorArgs.__init__(self, model=model, use=use, seed=seed, standardize=standardize)
        gym.Wrapper.__init__(self, env)
        self._pay = _payer(env.observation_space, env.action_space, model, use, seed, standardize)
        self._observation: Any = None

    def reset(self, **kwargs: Any) -> tuple[Any, dict[str, Any]]:
        self._observation, info = self.env.reset(**kwargs)
        return self._observation, info

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        observation, true_reward, terminated, truncated, info = self.env.step(action)
        one = [np.asarray(each)[None] for each in (self._observation, action, observation, terminated)]
        reward = float(self._pay(*one)[0])
        self._observation = observation
        return observation, reward, terminated, truncated, {**info, "true_reward": float(true_reward)}


class LearnedVectorReward(VectorWrapper):
    """The same for a vector environment, which computes the rewards of all its environments at once.

    It does as its environment does about new episodes, whichever way that is: a step that only begins a new episode
    pays 0.

    Args:
        env: many environments that the model is of.
        model, use, seed, standardize: as for `LearnedReward`.

    Raises:
        ValueError: as for `LearnedReward`.
    """

    def __init__(
        self, env: VectorEnv, model: RewardModel, use: Use = "mean", seed: int = 0, standardize: bool = False
    ) -> None:
        super().__init__(env)
        spaces = env.single_observation_space, env.single_action_space
        self._pay = _payer(*spaces, model, use, seed, standardize)
        self._mode = env.metadata.get("autoreset_mode", AutoresetMode.NEXT_STEP)
        self._observation = np.empty(0)
        self._over = np.zeros(env.num_envs, dtype=bool)

    def reset(self, *, seed: Any = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        observation, info = self.env.reset(seed=seed, options=options)
        self._observation = np.array(observation)
        if options is None or "reset_mask" not in options:
            self._over[:] = False
        return observation, info

    def step(self, actions: Any) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        observation, true_reward, terminated, truncated, info = self.env.step(actions)
        over, following = terminated | truncated, np.array(observation)
        if self._mode == AutoresetMode.SAME_STEP:
            for i in np.flatnonzero(over):
                following[i] = info["final_obs"][i]
        reward = np.asarray(self._pay(self._observation, np.asarray(actions), following, terminated), dtype=np.float64)
        if self._mode == AutoresetMode.NEXT_STEP:
            reward = np.where(self._over, 0.0, reward)
            self._over = over
        self._observation = np.array(observation)
        return observation, reward, terminated, truncated, {**info, "true_reward": np.asarray(true_reward)}


class _Payer(ABC):
    """What is paid for one step of each of N environments, with states and actions as they have them."""

    @abstractmethod
    def __call__(
        self, state: np.ndarray, action: np.ndarray, next_state: np.ndarray, terminated: np.ndarray
    ) -> Float[np.ndarray, "N"]:
        """The reward of each environment's step."""


class _OfStates(_Payer):
    """The rewards of a finite environment's states."""

    def __init__(self, table: Float[np.ndarray, "S"]) -> None:
        self._table = table

    def __call__(
        self, state: np.ndarray, action: np.ndarray, next_state: np.ndarray, terminated: np.ndarray
    ) -> Float[np.ndarray, "N"]:
        return self._table[state if state.ndim == 1 else state.argmax(-1)]


class _OfSteps(_Payer):
    """The reward of transitions between observations, as agents of this package are paid it.

    Args:
        first: number of the first action, where they are numbers.
    """

    def __init__(self, model: StepRewardModel, settings: LearnedRewardSettings, first: int) -> None:
        self._reward, self._actions, self._first = LearnedStepReward(model, settings, 0), model.actions, first

    def __call__(
        self, state: np.ndarray, action: np.ndarray, next_state: np.ndarray, terminated: np.ndarray
    ) -> Float[np.ndarray, "N"]:
        numbered = isinstance(self._actions, NumberedActions)
        taken = action - self._first if numbered else self._actions.to_unit(action.astype(np.float32))
        nothing = np.zeros(len(state))
        seen, then = (each.astype(np.float32) for each in (state, next_state))
        return self._reward(seen, taken, then, np.asarray(terminated, dtype=bool), nothing)


class _SampleOfSteps(_Payer):
    """The reward of transitions under one function that is drawn from the posterior.

    Args:
        first: number of the first action, where they are numbers.
        seed: of the function.
    """

    def __init__(self, model: StepRewardModel, first: int, seed: int) -> None:
        self._model, self._first, self._seed = model, first, seed

    def __call__(
        self, state: np.ndarray, action: np.ndarray, next_state: np.ndarray, terminated: np.ndarray
    ) -> Float[np.ndarray, "N"]:
        taken = action - self._first if self._first else action
        return np.asarray(self._model.sample(state, taken, next_state, self._seed))


def _payer(
    observations: gym.Space, actions: gym.Space, model: RewardModel, use: Use, seed: int, standardize: bool
) -> _Payer:
    if len(model) != 1:
        raise ValueError(f"the model has {len(model)} replicates; choose one with model[k]")
    if isinstance(model, TabularRewardModel):
        if use not in ("mean", "sample") or standardize:
            raise ValueError(f"use={use}, standardize={standardize}: of a finite environment, mean and sample are paid")
        size = gym.spaces.flatdim(observations)
        if size != model.n_states:
            raise ValueError(f"the environment has {size} states, the model {model.n_states}")
        table = model.mean_table() if use == "mean" else model.sample_table(seed)
        return _OfStates(table[0].double().numpy())
    if use not in ("mean", "lower_bound", "sample"):
        raise ValueError(f"use={use}: allowed are mean, lower_bound and sample")
    assert isinstance(model, StepRewardModel)
    n_features = model.posterior.standardization.mean.shape[-1]
    if observations.shape != (n_features,):
        raise ValueError(f"the environment's observations are {observations}, the model's {n_features} numbers")
    if actions_of(actions) != model.actions:
        raise ValueError(f"the environment's actions are {actions}, the model's {model.actions.space}")
    first = int(actions.start) if isinstance(actions, gym.spaces.Discrete) else 0
    if use == "sample":
        if standardize:
            raise ValueError("use=sample, standardize=True: standardized are mean and lower_bound")
        return _SampleOfSteps(model, first, seed)
    settings = LearnedRewardSettings(
        reward=use,
        kappa=_KAPPA,
        sample_per="episode",
        standardize=standardize,
        clip=_CLIP if standardize else _UNLIMITED,
        termination_weight=_TERMINATION_WEIGHT if standardize else 0.0,
        reference_weight=0.0,
    )
    return _OfSteps(model, settings, first)
