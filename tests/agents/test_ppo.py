"""PPO of Stable-Baselines3 in chunks: what its own `learn` does."""

from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from stable_baselines3 import PPO
from stable_baselines3.common.utils import set_random_seed
from stable_baselines3.common.vec_env import VecEnv, VecNormalize

from mavrl.agents.ppo import PPOTraining
from mavrl.agents.ppo_settings import PPOSettings, schedule
from mavrl.agents.rewards import StepReward, TrueReward
from mavrl.agents.vector_env import RewardedVecEnv
from mavrl.envs.control import ControlEnvironment
from mavrl.errors import TrainingError
from mavrl.policies.gaussian import GaussianPolicy
from mavrl.policies.network import NetworkPolicy

CART_POLE = ControlEnvironment("CartPole-v1")
OBSERVATIONS = torch.randn(50, 4, generator=torch.Generator().manual_seed(1))
FROZEN = [1.1492064, 1.129688, 1.1189701]


def weights(policy: NetworkPolicy) -> torch.Tensor:
    return torch.cat([tensor.flatten() for tensor in policy.network.state_dict().values()])


@pytest.fixture
def train(tiny_ppo: Any) -> Callable[..., PPOTraining]:
    """A training that has not begun."""

    def make(
        reward: StepReward | None = None,
        environment: ControlEnvironment = CART_POLE,
        chunks: int = 4,
        seed: int = 0,
        **settings: Any,
    ) -> PPOTraining:
        chosen: PPOSettings = tiny_ppo(**settings)
        envs = environment.training_vector(chosen.n_envs)
        return PPOTraining(envs, environment.actions, reward or TrueReward(), chosen, seed, chunks)

    return make


class TestSchedule:
    def test_a_number_is_constant(self):
        for value in (0.3, "0.3", 3e-1):
            assert [schedule(value)(remaining) for remaining in (1.0, 0.5, 0.0)] == [0.3] * 3

    def test_a_linear_one_falls_to_0(self):
        assert [schedule("lin_1e-3")(remaining) for remaining in (1.0, 0.5, 0.0)] == [1e-3, 5e-4, 0.0]

    @pytest.mark.parametrize("value", ["lin_", "lin_x", "cosine_1", "", "fast"])
    def test_what_it_is_not(self, value: str):
        with pytest.raises(ValueError, match="could not convert"):
            schedule(value)

    @pytest.mark.parametrize("name", ["learning_rate", "clip_range"])
    def test_settings_refuse_it_at_once(self, name: str, tiny_ppo: Any):
        with pytest.raises(ValueError, match="could not convert"):
            tiny_ppo(**{name: "linear"})

    def test_ppo_follows_it(self, train: Any):
        training, rates = train(learning_rate="lin_1e-2"), []

        def note(steps: int, policy: NetworkPolicy) -> bool:
            rates.append(training._model.policy.optimizer.param_groups[0]["lr"])
            return True

        training.run(note)
        assert rates == pytest.approx([7.5e-3, 5e-3, 2.5e-3, 0.0])  # the share that remains after each rollout


class TestChunks:
    @pytest.mark.parametrize(
        ("chunks", "expected"), [(1, [128]), (2, [64, 128]), (3, [32, 64, 128]), (9, [32, 64, 96, 128])]
    )
    def test_they_share_the_updates(self, train: Any, chunks: int, expected: list[int]):
        seen = []
        assert train(chunks=chunks).run(lambda steps, policy: seen.append(steps) or True) == 128
        assert seen == expected

    def test_the_last_update_is_whole(self, train: Any):
        assert train(total_steps=65).run() == 96
        assert train(total_steps=1).run() == 32

    def test_the_first_has_not_what_comes_after(self, train: Any):
        """A training that ends early gives the policy that a longer one passes through."""
        passed: list[torch.Tensor] = []
        train().run(lambda steps, policy: passed.append(weights(policy)) or True)
        stopped = train()
        assert stopped.run(lambda steps, policy: steps < 64) == 64
        assert weights(stopped.policy()).equal(passed[1])

    def test_weights_that_are_not_finite_end_it(self, train: Any):
        with pytest.raises(TrainingError, match=r"PPO after \d+ steps: the policy's weights are not finite"):
            train(learning_rate=1e30).run()

    def test_policies_given_to_the_caller_do_not_change_later(self, train: Any):
        kept: list[tuple[NetworkPolicy, torch.Tensor]] = []
        train().run(lambda steps, policy: kept.append((policy, weights(policy))) or True)
        assert all(weights(policy).equal(before) for policy, before in kept)
        assert len({tuple(before.tolist()) for _, before in kept}) == 4


class TestStableBaselines:
    """Its public `learn`, chunk after chunk, does what one call of it does, and what its loop did before."""

    @pytest.mark.parametrize("normalize_reward", [False, True])
    def test_one_chunk_is_a_plain_training(self, normalize_reward: bool, train: Any):
        """Stable-Baselines3 alone, with its own share of what remains, reaches the same weights to the last bit."""
        settings = {"learning_rate": "lin_1e-2", "clip_range": "lin_0.3", "normalize_reward": normalize_reward}
        training = train(chunks=1, **settings)
        training.run()
        plain = train(chunks=1, **settings)
        env: VecEnv = RewardedVecEnv(CART_POLE.training_vector(2), TrueReward())
        if normalize_reward:
            env = VecNormalize(env, norm_obs=False, gamma=0.9)
        model = PPO(
            "MlpPolicy",
            env,
            learning_rate=lambda remaining: 1e-2 * remaining,
            clip_range=lambda remaining: 0.3 * remaining,
            n_steps=16,
            batch_size=16,
            n_epochs=2,
            gamma=0.9,
            policy_kwargs={"net_arch": [8]},
            device="cpu",
        )
        model.policy.load_state_dict(plain._model.policy.state_dict())
        set_random_seed(plain._key("chunk", 0))
        env.seed(plain._key("episodes", 0))
        model.learn(128)
        for name, tensor in model.policy.state_dict().items():
            assert training._model.policy.state_dict()[name].equal(tensor), name

    def test_chunks_reach_what_they_always_did(self, train: Any):
        """Frozen from a loop of our own around collect_rollouts and train, which the public `learn` replaced."""
        settings = {"learning_rate": "lin_1e-2", "clip_range": "lin_0.3", "normalize_reward": True}
        training, sums = train(chunks=3, **settings), []
        training.run(lambda steps, policy: sums.append(float(weights(policy).sum())) or True)
        assert sums == pytest.approx(FROZEN, rel=1e-4)

    def test_each_chunk_begins_with_new_episodes(self, train: Any, counter: Any):
        """No chunk goes on where the last one was in its episodes."""
        starts: list[list[bool]] = []

        class Watched(TrueReward):
            def begin(self, started):
                starts.append(started.tolist())

        train(Watched(), environment=counter(limit=1000), chunks=4).run()
        assert starts == [[True, True]] * 4


class TestSeeds:
    def test_a_seed_is_a_training(self, train: Any):
        one, again, other = (train(seed=seed) for seed in (0, 0, 1))
        assert weights(one.policy()).equal(weights(again.policy()))
        for training in (one, again, other):
            training.run()
        assert weights(one.policy()).equal(weights(again.policy()))
        assert not weights(one.policy()).equal(weights(other.policy()))


class TestPolicy:
    def test_it_acts_like_stable_baselines_own(self, train: Any):
        training = train(hidden_sizes=[8, 6])
        training.run()
        policy = training.policy()
        expected, _ = training._model.predict(OBSERVATIONS.numpy(), deterministic=True)
        assert len(set(expected.tolist())) == 2
        assert policy.act(OBSERVATIONS.numpy()).tolist() == expected.tolist()
        distribution = training._model.policy.get_distribution(OBSERVATIONS).distribution
        assert policy.probabilities(OBSERVATIONS, 1.0).numpy() == pytest.approx(
            distribution.probs.detach().numpy(), abs=1e-5
        )

    @pytest.mark.parametrize("normalize_observations", [False, True])
    def test_of_vectors_too(self, train: Any, normalize_observations: bool):
        training = train(environment=ControlEnvironment("Pendulum-v1"), normalize_observations=normalize_observations)
        training.run()
        policy, seen = training.policy(), OBSERVATIONS[:, :3]
        assert isinstance(policy, GaussianPolicy)
        shown = training._normalized.normalize_obs(seen.numpy()) if normalize_observations else seen.numpy()
        theirs: Any = training._model.policy.get_distribution(torch.as_tensor(shown)).distribution
        mean, std = policy(seen)
        assert mean.numpy() == pytest.approx(theirs.mean.detach().numpy(), abs=1e-5)
        assert std.numpy() == pytest.approx(theirs.stddev.detach().numpy(), abs=1e-5)
        assert (policy.squash, policy.critics) == ("clip", ())

    def test_training_follows_the_reward(self, train: Any, counter: Any):
        """The reward of a step is the number of its action."""
        environment = counter(limit=8)
        states = np.array([[n, k] for n in (0.2, 0.8) for k in range(8)], dtype=np.float32)
        found = {}
        for name, reward in (("one", TrueReward()), ("other", _Negative())):
            training = train(reward, environment=environment, total_steps=1024, learning_rate=3e-2, chunks=1)
            training.run()
            found[name] = training.policy().act(states)
        assert found["one"].tolist() == [1] * 16
        assert found["other"].tolist() == [0] * 16


class _Negative(StepReward):
    def __call__(self, state, action, next_state, terminated, true_reward):
        return -true_reward


def test_the_environments_are_closed_at_the_end(train: Any) -> None:
    training = train()
    training.run()
    (envs,) = [training._env._envs]
    assert isinstance(envs, gym.vector.VectorEnv)
    assert envs.closed
