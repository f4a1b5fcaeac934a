"""Experts: policies trained with Stable-Baselines3 on the true reward, which then act and demonstrate."""

import math
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any, Literal

import numpy as np
import torch
from stable_baselines3 import DQN
from stable_baselines3.common.callbacks import BaseCallback

from mavrl.actions import VectorActions
from mavrl.agents.ppo import PPOTraining
from mavrl.agents.ppo_settings import PPOSettings, schedule
from mavrl.agents.rewards import TrueReward
from mavrl.agents.sac import policy_of_sac, sac
from mavrl.agents.vector_env import RewardedVecEnv
from mavrl.envs.control import ControlEnvironment
from mavrl.errors import ConfigurationError, TrainingError
from mavrl.policies.base import Policy
from mavrl.policies.loading import StoredPolicy
from mavrl.policies.network import NetworkPolicy
from mavrl.simulation.base import Behaviour
from mavrl.simulation.episodes import simulate
from mavrl.streams import numpy_stream
from mavrl.workers import Workers

Algorithm = Literal["dqn", "ppo", "sac"]
GREEDY = Behaviour(rationality=math.inf)
Progress = Callable[[int, float], None]  # takes the steps so far and the mean return then

_CHUNKS = 20  # evaluations during training, of which the best policy is kept
_EPISODES = 50  # of each
_PPO_DEFAULTS: dict[str, Any] = {
    "vf_coef": 0.5,
    "max_grad_norm": 0.5,
    "normalize_reward": False,
    "normalize_observations": False,
    "ent_coef": 0.0,
}
REQUIRED: dict[Algorithm, tuple[str, ...]] = {  # settings without a default
    "dqn": ("total_steps", "hidden_sizes", "learning_rate"),
    "sac": ("total_steps", "hidden_sizes", "learning_rate"),
    "ppo": tuple(each.name for each in fields(PPOSettings) if each.name not in _PPO_DEFAULTS),
}


@dataclass
class _Best:
    """The best policy of a training so far: that of the highest mean return."""

    environment: ControlEnvironment
    seed: int
    progress: Progress
    policy: StoredPolicy | None = None
    mean_return: float = -math.inf

    def consider(self, steps: int, policy: StoredPolicy) -> bool:
        if not policy.finite:  # it would still act, and might be taken for the best
            return False
        returns = true_returns(self.environment, policy, (self.seed, "expert", "selection"), _EPISODES, Workers(1))
        if returns.mean() > self.mean_return:
            self.policy, self.mean_return = policy, float(returns.mean())
        self.progress(steps, float(returns.mean()))
        return True


def true_returns(
    environment: ControlEnvironment,
    policy: Policy,
    address: tuple[int | str, ...],
    n_episodes: int,
    workers: Workers,
    behaviour: Behaviour = GREEDY,
) -> np.ndarray:
    """Undiscounted true returns of seeded episodes, greedy ones unless another behaviour is given; shape (N,).

    Args:
        address: of the episodes' randomness, the seed first. The same address gives the same first states to all
            policies, so their returns can be compared in pairs.
    """
    addresses = [(*address, k) for k in range(n_episodes)]
    episodes = simulate(environment, policy, behaviour, addresses, workers)
    return np.array([episode.true_return for episode in episodes])


def train_expert(
    environment: ControlEnvironment,
    algorithm: Algorithm,
    settings: dict[str, Any],
    seed: int,
    progress: Progress = lambda steps, mean_return: None,
) -> StoredPolicy:
    """The best policy of one training on the true reward, judged on 50 greedy episodes at 20 moments of it.

    Args:
        settings: hyperparameters of Stable-Baselines3, with total_steps and hidden_sizes.

    Raises:
        ConfigurationError: the settings are not those of the algorithm.
        TrainingError: its weights are not finite.
        EnvironmentFault: the environment raises an error.
    """
    best = _Best(environment, seed, progress)
    try:
        if algorithm == "dqn":
            _train_dqn(environment, dict(settings), seed, best)
        elif algorithm == "sac":
            _train_sac(environment, dict(settings), seed, best)
        else:
            _train_ppo(environment, settings, seed, best)
    except (TypeError, LookupError, ValueError, AssertionError) as error:
        text = " ".join(str(error).split())
        raise ConfigurationError(f"env.experts.{algorithm}", settings, f"does not fit the algorithm: {text}") from error
    if best.policy is None:
        raise TrainingError(
            f"{environment.id}: no policy of the {algorithm} training has finite weights and a finite mean return"
        )
    return best.policy


def _train_ppo(environment: ControlEnvironment, settings: dict[str, Any], seed: int, best: _Best) -> None:
    ppo = PPOSettings(**{**_PPO_DEFAULTS, **settings})
    envs = environment.training_vector(ppo.n_envs)
    PPOTraining(envs, environment.actions, TrueReward(), ppo, seed, _CHUNKS).run(best.consider)


def _train_dqn(environment: ControlEnvironment, settings: dict[str, Any], seed: int, best: _Best) -> None:
    total_steps, hidden_sizes = settings.pop("total_steps"), list(settings.pop("hidden_sizes"))
    learning_rate = schedule(settings.pop("learning_rate"))
    if isinstance(frequency := settings.get("train_freq"), list):
        settings["train_freq"] = tuple(frequency)  # as Stable-Baselines3 takes it, which YAML has not
    env = RewardedVecEnv(environment.training_vector(1), TrueReward())
    key = int(numpy_stream(seed, "dqn").integers(2**31 - 1))
    model = DQN(
        "MlpPolicy",
        env,
        learning_rate=learning_rate,
        policy_kwargs={"net_arch": hidden_sizes},
        seed=key,
        device="cpu",
        **settings,
    )

    def policy() -> NetworkPolicy:
        linear = [module for module in model.q_net.q_net if isinstance(module, torch.nn.Linear)]
        layers = [(module.weight.detach().clone(), module.bias.detach().clone()) for module in linear]
        return NetworkPolicy.from_layers(layers, "relu", "q")

    model.learn(total_steps, callback=_EveryShare(policy, best, total_steps))
    env.close()


def _train_sac(environment: ControlEnvironment, settings: dict[str, Any], seed: int, best: _Best) -> None:
    actions, total_steps = environment.actions, settings.pop("total_steps")
    if not isinstance(actions, VectorActions):
        raise ValueError(f"SAC takes vectors as actions, and {environment.id} has {actions.in_words}")
    env = RewardedVecEnv(environment.training_vector(1), TrueReward())
    model = sac(env, settings, int(numpy_stream(seed, "sac").integers(2**31 - 1)))
    model.learn(total_steps, callback=_EveryShare(lambda: policy_of_sac(model, actions), best, total_steps))
    env.close()


class _EveryShare(BaseCallback):
    """Considers the present policy at the end of every share of a training."""

    def __init__(self, policy: Callable[[], StoredPolicy], best: _Best, total_steps: int) -> None:
        super().__init__()
        self._policy = policy
        self._best = best
        self._interval = -(-total_steps // _CHUNKS)

    def _on_step(self) -> bool:
        return self.num_timesteps % self._interval != 0 or self._best.consider(self.num_timesteps, self._policy())
