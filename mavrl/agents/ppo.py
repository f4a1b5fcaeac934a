"""PPO of Stable-Baselines3, which experts are trained with, in chunks that begin with new episodes."""

from collections.abc import Callable

import numpy as np
import torch
from gymnasium.vector import SyncVectorEnv
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.running_mean_std import RunningMeanStd
from stable_baselines3.common.utils import set_random_seed
from stable_baselines3.common.vec_env import VecEnv, VecNormalize

from mavrl.actions import Actions
from mavrl.agents.distributions import distribution_of
from mavrl.agents.observations import RunningMoments
from mavrl.agents.ppo_settings import PPOSettings, schedule
from mavrl.agents.rewards import StepReward
from mavrl.agents.vector_env import RewardedVecEnv
from mavrl.errors import TrainingError
from mavrl.policies.loading import StoredPolicy
from mavrl.streams import numpy_stream


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
        actions: of the environment.
        reward: what they pay.
        settings: hyperparameters.
        seed: address of all its randomness.
        chunks: parts of the training. Each begins with new episodes and new random streams.
    """

    def __init__(
        self,
        envs: SyncVectorEnv,
        actions: Actions,
        reward: StepReward,
        settings: PPOSettings,
        seed: int,
        chunks: int,
    ) -> None:
        self._settings = settings
        self._seed = seed
        paid: VecEnv = RewardedVecEnv(envs, reward)
        self._distribution = distribution_of(actions)
        seen, worth = settings.normalize_observations, settings.normalize_reward
        scaled = VecNormalize(paid, norm_obs=seen, norm_reward=worth, gamma=settings.gamma) if seen or worth else None
        self._normalized = scaled
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

    def run(self, after_chunk: Callable[[int, StoredPolicy], bool] = lambda steps, policy: True) -> int:
        """Train to the end.

        Args:
            after_chunk: takes the environment steps so far and the policy; the training ends when it returns False.

        Returns:
            Environment steps trained in all.

        Raises:
            TrainingError: the weights are no longer finite.
        """
        for chunk in range(self.chunks):
            self._begin(chunk)
            first, last = (self._updates * k // self.chunks for k in (chunk, chunk + 1))
            steps = (last - first) * self._per_update
            self._learn(steps)
            if not after_chunk(self._model.num_timesteps, self.policy()):
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

    def policy(self) -> StoredPolicy:
        """A copy of the present policy; see `mavrl.agents.batched_ppo.BatchedPPO.policy`."""
        network = self._model.policy
        linear = [m for m in [*network.mlp_extractor.policy_net, network.action_net] if isinstance(m, torch.nn.Linear)]
        layers = [(m.weight.detach().clone(), m.bias.detach().clone()) for m in linear]
        if self._normalized is not None and self._normalized.norm_obs:
            seen = self._normalized.obs_rms
            assert isinstance(seen, RunningMeanStd)
            layers = RunningMoments(seen.mean, seen.var, np.array(seen.count)).folded(layers)
        own = network.log_std.detach().clone() if self._distribution.n_own else torch.zeros(0)
        return self._distribution.policy(layers, own)

    def _begin(self, chunk: int) -> None:
        set_random_seed(self._key("chunk", chunk))
        self._env.seed(self._key("episodes", chunk))
        self._model.set_env(self._env, force_reset=True)  # `learn` then begins with new episodes

    def _key(self, *purpose: str | int) -> int:
        return int(numpy_stream(self._seed, "ppo", *purpose).integers(2**31 - 1))
