"""SAC on a learned reward, one agent after the other: that of Stable-Baselines3, in parts that can be gone on with.

A part begins with new episodes and new random streams, as those of PPO do. So networks, optimizers, the coefficient of
the entropy and the replay buffer are all that is carried from part to part, and none of it is code.

A transition was paid by the reward of its time. When a training goes on with another reward, as it does in rounds of
questions, every transition in the buffer is paid anew (PEBBLE, Lee et al. 2021, section 4.3).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from stable_baselines3 import SAC
from stable_baselines3.common.buffers import ReplayBuffer
from stable_baselines3.common.utils import set_random_seed
from torch import Tensor

from mavrl.actions import VectorActions
from mavrl.agents.ppo_settings import schedule
from mavrl.agents.rewards import ConstantReward, Rollout, StepReward
from mavrl.agents.sac import policy_of_sac, sac
from mavrl.agents.sac_settings import SACSettings
from mavrl.agents.vector_env import RewardedVecEnv
from mavrl.envs.control import ControlEnvironment
from mavrl.model.step_reward import StepRewardModel
from mavrl.policies.gaussian import GaussianPolicy
from mavrl.streams import numpy_stream

_ARRAYS = ("observations", "next_observations", "actions", "rewards", "dones", "timeouts")  # of a replay buffer


@dataclass(frozen=True)
class SACLearner:
    """One in training.

    Args:
        model: networks, optimizers and replay buffer, which change when the training goes on.
        policy: as it is now.
        steps: environment steps so far.
        paid_by: fingerprint of the reward that all transitions in the buffer are paid by; empty before there are any.
    """

    model: SAC
    policy: GaussianPolicy
    steps: int = 0
    paid_by: str = ""

    @property
    def finite(self) -> bool:
        """Whether all parameters of the policy are."""
        return self.policy.finite


class SACTrainer:
    """The training of agents by SAC. A training has parts only at whole multiples of `train_freq`.

    Args:
        environment: what they act in; its actions are vectors.
        settings: hyperparameters.
        chunks: parts of a training.
        looks: how often policies are looked at during a training; at the end of each part they are in any case.
    """

    algorithm = "sac"

    def __init__(self, environment: ControlEnvironment, settings: SACSettings, chunks: int, looks: int = 1) -> None:
        actions = environment.actions
        if not isinstance(actions, VectorActions):
            raise ValueError(f"SAC takes vectors as actions, and {environment.id} has {actions.in_words}")
        self._actions, self._settings, self._looks = actions, settings, looks
        self.chunks = settings.parts(chunks)
        self._envs = environment.training_vector(1)

    def begin(self, seed: int) -> SACLearner:
        settings = self._settings
        total, rate = settings.steps_until(1, 1), schedule(settings.learning_rate)
        given = {name: getattr(settings, name) for name in (
            "batch_size", "learning_starts", "tau", "gamma", "train_freq", "gradient_steps", "ent_coef", "hidden_sizes"
        )}  # fmt: skip
        given["buffer_size"] = min(settings.buffer_size, total)  # more would stay empty
        env = RewardedVecEnv(self._envs, ConstantReward(0.0))
        model = sac(env, {**given, "learning_rate": 1.0}, _key(seed, "weights"))
        # Stable-Baselines3 gives its schedules the share of one call of `learn`, which here is only a part of all
        model.lr_schedule = lambda share_of_call: rate(1 - model.num_timesteps / total)
        return SACLearner(model, policy_of_sac(model, self._actions))

    def policy(self, agent: SACLearner) -> GaussianPolicy:
        return agent.policy

    def imitating(
        self, agent: SACLearner, seed: int, states: Float[Tensor, "N O"], model: StepRewardModel
    ) -> SACLearner:
        """
        Raises:
            ValueError: SAC begins with random actions, whoever demonstrates.
        """
        raise ValueError("SAC does not begin by imitation")

    def state(self, agent: SACLearner) -> dict[str, Any]:
        model, buffer = agent.model, _buffer(agent.model)
        filled = buffer.size()
        return {
            "steps": agent.steps,
            "paid_by": agent.paid_by,
            "weights": {name: part.state_dict() for name, part in _learned(model).items()},
            "log_ent_coef": None if model.log_ent_coef is None else model.log_ent_coef.detach().clone(),
            "buffer": {name: torch.from_numpy(getattr(buffer, name)[:filled]) for name in _ARRAYS},
            "position": buffer.pos,
        }

    def restored(self, seed: int, state: dict[str, Any]) -> SACLearner:
        model = self.begin(seed).model
        for name, part in _learned(model).items():
            part.load_state_dict(state["weights"][name])
        if model.log_ent_coef is not None:
            with torch.no_grad():
                model.log_ent_coef.copy_(state["log_ent_coef"])
        model.num_timesteps = state["steps"]
        buffer = _buffer(model)
        for name, kept in state["buffer"].items():
            getattr(buffer, name)[: len(kept)] = kept.numpy()
        buffer.pos, buffer.full = state["position"], len(state["buffer"]["rewards"]) == buffer.buffer_size
        return SACLearner(model, policy_of_sac(model, self._actions), state["steps"], state["paid_by"])

    def train(
        self, rewards: Sequence[StepReward], seeds: Sequence[int], agents: Sequence[SACLearner], chunk: int
    ) -> list[list[SACLearner]]:
        return [self._train(*each, chunk) for each in zip(rewards, seeds, agents, strict=True)]

    def _train(self, reward: StepReward, seed: int, agent: SACLearner, chunk: int) -> list[SACLearner]:
        model = agent.model
        if agent.paid_by not in ("", reward.fingerprint):
            reward.seed(_key(seed, "paid anew", chunk))
            pay_anew(_buffer(model), reward)
        env = RewardedVecEnv(self._envs, reward)
        set_random_seed(_key(seed, "chunk", chunk))
        model.action_space.seed(_key(seed, "random actions", chunk))
        env.seed(_key(seed, "episodes", chunk))
        model.set_env(env, force_reset=True)  # `learn` then begins with new episodes
        seen = []
        for steps in self._looks_of(chunk):
            fails = None
            try:
                model.learn(steps - model.num_timesteps, reset_num_timesteps=False)
            except ValueError as error:  # of torch's distributions, when they are given what is not finite
                fails = error
            agent = replace(
                agent, policy=policy_of_sac(model, self._actions), steps=model.num_timesteps, paid_by=reward.fingerprint
            )
            seen.append(agent)
            if fails is not None and agent.finite:
                raise fails
            if not agent.finite:
                break
        return seen

    def _looks_of(self, chunk: int) -> list[int]:
        """Steps after which policies are looked at in a chunk, counted from the beginning; the last is its end."""
        first, end = (self._settings.steps_until(k, self.chunks) for k in (chunk, chunk + 1))
        equally = {self._settings.steps_until(k + 1, self._looks) for k in range(self._looks)}
        return sorted({end, *(k for k in equally if first < k < end)})

    def close(self) -> None:
        self._envs.close()


def pay_anew(buffer: ReplayBuffer, reward: StepReward) -> None:
    """Pay every transition of a replay buffer, from the oldest on, in place.

    Args:
        reward: reads no true reward, which the buffer does not have.
    """
    filled = buffer.size()
    order = np.roll(np.arange(filled), -buffer.pos) if buffer.full else np.arange(filled)
    over, cut = (getattr(buffer, name)[order] > 0 for name in ("dones", "timeouts"))
    reward.begin(np.ones(buffer.n_envs, dtype=bool))
    rollout = Rollout(
        state=buffer.observations[order],
        action=buffer.actions[order],
        next_state=buffer.next_observations[order],
        terminated=over & ~cut,
        over=over,
        true_reward=np.full(over.shape, np.nan),
    )
    buffer.rewards[order] = reward.of_rollout(rollout)


def _learned(model: SAC) -> dict[str, Any]:
    """All that is learned and has a state of its own."""
    parts: dict[str, Any] = {
        "networks": model.policy,
        "actor's optimizer": model.actor.optimizer,
        "critics' optimizer": model.critic.optimizer,
    }
    if model.ent_coef_optimizer is not None:
        parts["entropy's optimizer"] = model.ent_coef_optimizer
    return parts


def _buffer(model: SAC) -> ReplayBuffer:
    assert model.replay_buffer is not None
    return model.replay_buffer


def _key(seed: int, *purpose: str | int) -> int:
    return int(numpy_stream(seed, "sac", *purpose).integers(2**31 - 1))
