"""PPO in chunks: a training that was cut off ends like one that was not."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from stable_baselines3 import PPO
from stable_baselines3.common.utils import set_random_seed
from stable_baselines3.common.vec_env import VecEnv, VecNormalize

from mavrl.agents import ppo
from mavrl.agents.ppo import PPOTraining
from mavrl.agents.ppo_settings import PPOSettings, schedule
from mavrl.agents.rewards import ConstantReward, LearnedStepReward, StepReward, TrueReward
from mavrl.agents.vector_env import RewardedVecEnv
from mavrl.envs.control import ControlEnvironment
from mavrl.errors import TrainingError
from mavrl.policies.network import NetworkPolicy
from mavrl.storage.checkpoints import Checkpoints

CART_POLE = ControlEnvironment("CartPole-v1")
OBSERVATIONS = torch.randn(50, 4, generator=torch.Generator().manual_seed(1))
FROZEN = [1.1492064, 1.129688, 1.1189701]


class Cut(Exception):
    """What ends a training in the middle."""


def weights(policy: NetworkPolicy) -> torch.Tensor:
    return torch.cat([tensor.flatten() for tensor in policy.network.state_dict().values()])


@pytest.fixture
def train(tiny_ppo: Any) -> Callable[..., PPOTraining]:
    """A training that has not begun."""

    def make(
        reward: StepReward | None = None,
        checkpoints: Checkpoints | None = None,
        environment: ControlEnvironment = CART_POLE,
        chunks: int = 4,
        seed: int = 0,
        **settings: Any,
    ) -> PPOTraining:
        chosen: PPOSettings = tiny_ppo(**settings)
        envs = environment.training_vector(chosen.n_envs)
        return PPOTraining(envs, reward or TrueReward(), chosen, seed, chunks, checkpoints)

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


class TestResumption:
    def cut_after(self, chunks: int) -> Callable[[int, NetworkPolicy], bool]:
        """Ends a training in the chunk after these, when its work is done and its checkpoint not yet written."""
        left = iter(range(chunks))

        def after_chunk(steps: int, policy: NetworkPolicy) -> bool:
            if next(left, None) is None:
                raise Cut
            return True

        return after_chunk

    @pytest.mark.parametrize("normalize_reward", [False, True])
    @pytest.mark.parametrize("kind", ["true", "constant", "mean", "sample per step", "sample per episode"])
    @pytest.mark.parametrize("done", [1, 2])
    def test_a_training_that_was_cut_off_ends_like_one_that_was_not(
        self, kind: str, done: int, normalize_reward: bool, train: Any, make_cart_pole_reward: Any, tmp_path: Path
    ):
        settings = {"normalize_reward": normalize_reward, "learning_rate": "lin_1e-2", "clip_range": "lin_0.3"}
        whole = train(make_cart_pole_reward(kind), **settings)
        steps: list[int] = []
        whole.run(lambda at, policy: steps.append(at) or True)
        checkpoints = Checkpoints(tmp_path)
        with pytest.raises(Cut):
            train(make_cart_pole_reward(kind), checkpoints, **settings).run(self.cut_after(done))
        resumed, again = train(make_cart_pole_reward(kind), checkpoints, **settings), []
        assert resumed.run(lambda at, policy: again.append(at) or True) == 128
        assert again == steps[done:]
        assert weights(resumed.policy()).equal(weights(whole.policy()))
        for name, tensor in whole._model.policy.state_dict().items():
            assert resumed._model.policy.state_dict()[name].equal(tensor), name

    def test_a_finished_training_is_over(self, train: Any, tmp_path: Path):
        first = train(checkpoints=Checkpoints(tmp_path))
        first.run()
        again = train(checkpoints=Checkpoints(tmp_path))
        assert again.run(lambda steps, policy: pytest.fail("nothing is left to do")) == 128
        assert weights(again.policy()).equal(weights(first.policy()))

    def test_so_is_one_that_was_ended(self, train: Any, tmp_path: Path):
        first = train(checkpoints=Checkpoints(tmp_path))
        first.run(lambda steps, policy: steps < 64)
        again = train(checkpoints=Checkpoints(tmp_path))
        assert again.run(lambda steps, policy: pytest.fail("it was ended")) == 64
        assert weights(again.policy()).equal(weights(first.policy()))

    @pytest.mark.parametrize("normalize_reward", [False, True])
    def test_checkpoints_hold_nothing_that_runs_code(self, train: Any, normalize_reward: bool, tmp_path: Path):
        checkpoints = Checkpoints(tmp_path)
        train(checkpoints=checkpoints, normalize_reward=normalize_reward).run()
        assert len(list(tmp_path.iterdir())) == 1
        state = torch.load(checkpoints.newest(), weights_only=True)
        assert state["steps"] == 128
        assert ("returns" in state) == normalize_reward

    def test_a_damaged_checkpoint_is_not_used(self, train: Any, tmp_path: Path):
        whole = train()
        whole.run()
        with pytest.raises(Cut):
            train(checkpoints=Checkpoints(tmp_path)).run(self.cut_after(2))
        (path,) = tmp_path.iterdir()
        path.write_bytes(path.read_bytes()[:-7])
        resumed = train(checkpoints=Checkpoints(tmp_path))
        assert resumed.run() == 128
        assert weights(resumed.policy()).equal(weights(whole.policy()))


@pytest.fixture
def make_cart_pole_reward(make_model: Any, paid: Any) -> Callable[[str], StepReward]:
    """Rewards for CartPole, by name; the learned ones look at the first three features."""

    class OfThree(LearnedStepReward):
        def __call__(self, state, action, next_state, terminated, true_reward):
            return super().__call__(state[:, :3], action, next_state[:, :3], terminated, true_reward)

    def make(kind: str) -> StepReward:
        if kind in ("true", "constant"):
            return TrueReward() if kind == "true" else ConstantReward(-1.0)
        reward, _, per = kind.partition(" per ")
        model = make_model([[1.0, 2.0, 3.0, 0.0, 1.0], [3.0, 0.0, 3.0, 2.0, 0.0]], [0.5, 1.5], at_termination=-1.0)
        return OfThree(model, paid(reward=reward, sample_per=per or "step", clip=10.0), seed=3)

    return make


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


class TestImitation:
    def test_it_reproduces_probabilities(self, train: Any, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setattr(ppo, "_DISTILLATION_STEPS", 1500)
        training = train(hidden_sizes=[32])
        right = torch.sigmoid(2 * OBSERVATIONS[:, 0])
        wanted = torch.stack([1 - right, right], dim=-1)
        before = training.policy().probabilities(OBSERVATIONS, 1.0)
        training.imitate(OBSERVATIONS, wanted)
        after = training.policy().probabilities(OBSERVATIONS, 1.0)
        assert (after - wanted).abs().max() < 0.03
        assert (before - wanted).abs().max() > 0.3

    def test_it_leaves_the_value_function_alone_and_depends_on_the_seed(
        self, train: Any, monkeypatch: pytest.MonkeyPatch
    ):
        monkeypatch.setattr(ppo, "_DISTILLATION_STEPS", 3)
        wanted = torch.full((50, 2), 0.5)
        trainings = [train(seed=seed) for seed in (0, 0, 1)]
        before = {name: t.clone() for name, t in trainings[0]._model.policy.state_dict().items()}
        for training in trainings:
            training.imitate(OBSERVATIONS, wanted)
        after = trainings[0]._model.policy.state_dict()
        changed = {name for name, tensor in after.items() if not tensor.equal(before[name])}
        assert changed == {name for name in after if "policy_net" in name or "action_net" in name}
        one, again, other = (weights(training.policy()) for training in trainings)
        assert one.equal(again)
        assert not one.equal(other)


def test_the_environments_are_closed_at_the_end(train: Any) -> None:
    training = train()
    training.run()
    (envs,) = [training._env._envs]
    assert isinstance(envs, gym.vector.VectorEnv)
    assert envs.closed
