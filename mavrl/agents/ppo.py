"""PPO of Stable-Baselines3, in chunks that begin from checkpoints: a resumed training equals an undisturbed one."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from gymnasium.vector import SyncVectorEnv
from jaxtyping import Float
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.utils import set_random_seed
from stable_baselines3.common.vec_env import VecEnv, VecNormalize
from torch import Tensor

from mavrl.agents.ppo_settings import PPOSettings, schedule
from mavrl.agents.rewards import StepReward
from mavrl.agents.vector_env import RewardedVecEnv
from mavrl.errors import TrainingError
from mavrl.policies.network import NetworkPolicy
from mavrl.storage.checkpoints import Checkpoints
from mavrl.streams import numpy_stream

_BATCH, _DISTILLATION_STEPS = 256, 3000


class _RemainingShare(BaseCallback):
    """The share of the whole training that remains when the policy is updated.

    Stable-Baselines3 gives its schedules the share of one call of `learn`, which here is only a chunk of the training.

    Args:
        total_steps: of the environment, in all chunks.
    """

    def __init__(self, total_steps: int) -> None:
        super().__init__()
        self._total_steps = total_steps
        self._share = 1.0

    def following(self, value: Callable[[float], float]) -> Callable[[float], float]:
        """The schedule `value` over the whole training, for Stable-Baselines3."""
        return lambda share_of_chunk: value(self._share)

    def _on_step(self) -> bool:
        return True

    def _on_rollout_end(self) -> None:
        self._share = 1.0 - self.num_timesteps / self._total_steps


class PPOTraining:
    """The training of one policy.

    Args:
        envs: copies of the environment that reset in the step that ends an episode.
        reward: what they pay.
        settings: hyperparameters.
        seed: address of all its randomness.
        chunks: parts of the training. Each begins with new episodes and new random streams.
        checkpoints: where the state after each chunk is kept; None for nowhere.
    """

    def __init__(
        self,
        envs: SyncVectorEnv,
        reward: StepReward,
        settings: PPOSettings,
        seed: int,
        chunks: int,
        checkpoints: Checkpoints | None = None,
    ) -> None:
        self._settings = settings
        self._seed = seed
        self._checkpoints = checkpoints
        paid: VecEnv = RewardedVecEnv(envs, reward)
        self._normalized = (
            VecNormalize(paid, norm_obs=False, gamma=settings.gamma) if settings.normalize_reward else None
        )
        self._env: VecEnv = self._normalized or paid
        self._per_update = settings.n_envs * settings.n_steps
        self._updates = max(1, -(-settings.total_steps // self._per_update))
        self.chunks = min(chunks, self._updates)
        self._remaining = _RemainingShare(self._updates * self._per_update)
        set_random_seed(self._key("weights"))
        self._model = PPO(
            "MlpPolicy",
            self._env,
            learning_rate=self._remaining.following(schedule(settings.learning_rate)),
            clip_range=self._remaining.following(schedule(settings.clip_range)),
            policy_kwargs={"net_arch": list(settings.hidden_sizes)},
            device="cpu",
            **{
                name: getattr(settings, name)
                for name in (
                    "n_steps",
                    "batch_size",
                    "n_epochs",
                    "gamma",
                    "gae_lambda",
                    "ent_coef",
                    "vf_coef",
                    "max_grad_norm",
                )
            },
        )

    def imitate(self, state: Float[Tensor, "N O"], probabilities: Float[Tensor, "N A"]) -> None:
        """Move the policy towards these probabilities of actions in these states, by minimising the cross-entropy."""
        policy = self._model.policy
        stream = torch.Generator().manual_seed(self._key("imitation"))
        parameters = [*policy.mlp_extractor.policy_net.parameters(), *policy.action_net.parameters()]
        optimizer = torch.optim.Adam(parameters, lr=1e-3)
        for _ in range(_DISTILLATION_STEPS):
            rows = torch.randint(len(state), (_BATCH,), generator=stream)
            logits = policy.action_net(policy.mlp_extractor.forward_actor(state[rows]))
            loss = -(probabilities[rows] * torch.log_softmax(logits, dim=-1)).sum(-1).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

    def run(self, after_chunk: Callable[[int, NetworkPolicy], bool] = lambda steps, policy: True) -> int:
        """Train from the newest checkpoint to the end.

        Args:
            after_chunk: takes the environment steps so far and the policy; the training ends when it returns False.

        Returns:
            Environment steps trained in all.

        Raises:
            TrainingError: the weights are no longer finite.
        """
        for chunk in range(self._restore(), self.chunks):
            self._begin(chunk)
            first, last = (self._updates * k // self.chunks for k in (chunk, chunk + 1))
            steps = (last - first) * self._per_update
            self._learn(steps)
            goes_on = after_chunk(self._model.num_timesteps, self.policy())
            if self._checkpoints is not None:
                done = chunk + 1 if goes_on else self.chunks
                self._checkpoints.save(chunk + 1, lambda path, done=done: self._write(path, done))
            if not goes_on:
                break
        self._env.close()
        return self._model.num_timesteps

    def _learn(self, steps: int) -> None:
        problem = None
        try:
            self._model.learn(steps, callback=self._remaining, reset_num_timesteps=False)
        except ValueError as error:  # of torch's distributions, when they are given what is not finite
            problem = error
        if not self.policy().finite:
            text = f"PPO after {self._model.num_timesteps} steps: the policy's weights are not finite"
            raise TrainingError(f"{text}; a smaller learning_rate may help") from problem
        if problem is not None:
            raise problem

    def policy(self) -> NetworkPolicy:
        """A copy of the present policy."""
        network = self._model.policy
        linear = [m for m in [*network.mlp_extractor.policy_net, network.action_net] if isinstance(m, torch.nn.Linear)]
        layers = [(m.weight.detach().clone(), m.bias.detach().clone()) for m in linear]
        return NetworkPolicy.from_layers(layers, "tanh", "log_probability")

    def _begin(self, chunk: int) -> None:
        set_random_seed(self._key("chunk", chunk))
        self._env.seed(self._key("episodes", chunk))
        self._model.set_env(self._env, force_reset=True)  # `learn` then begins with new episodes

    def _key(self, *purpose: str | int) -> int:
        return int(numpy_stream(self._seed, "ppo", *purpose).integers(2**31 - 1))

    # Checkpoints: plain containers and tensors only, read with weights_only=True --------------------------------------

    def _state(self, chunk: int) -> dict[str, Any]:
        model = self._model
        state: dict[str, Any] = {
            "chunk": chunk,
            "policy": model.policy.state_dict(),
            "optimizer": model.policy.optimizer.state_dict(),
            "steps": model.num_timesteps,
        }
        if self._normalized is not None:
            statistics = self._normalized.ret_rms
            state["returns"] = {name: float(getattr(statistics, name)) for name in ("mean", "var", "count")}
        return state

    def _write(self, path: Path, chunk: int) -> None:
        content = io.BytesIO()  # torch's own way to a file does not say that a disk is full
        torch.save(self._state(chunk), content)
        path.write_bytes(content.getvalue())

    def _restore(self) -> int:
        """Load the newest checkpoint; returns the chunk to go on with."""
        newest: Path | None = None if self._checkpoints is None else self._checkpoints.newest()
        if newest is None:
            return 0
        state = torch.load(newest, weights_only=True)
        model = self._model
        model.policy.load_state_dict(state["policy"])
        model.policy.optimizer.load_state_dict(state["optimizer"])
        model.num_timesteps = state["steps"]
        if self._normalized is not None:
            for name, value in state["returns"].items():
                setattr(self._normalized.ret_rms, name, np.float64(value))
        return state["chunk"]
