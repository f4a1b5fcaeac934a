"""Batched PPO: an update is that of Stable-Baselines3, and a replicate is what it would be alone."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from stable_baselines3 import PPO
from stable_baselines3.common.logger import configure
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

from mavrl.agents import batched_ppo
from mavrl.agents.batched_ppo import BatchedPPO, Learner
from mavrl.agents.ppo_settings import PPOSettings
from mavrl.agents.rewards import ConstantReward, LearnedStepReward, Rollout, StepReward, TrueReward
from mavrl.agents.vector_env import RewardedVecEnv
from mavrl.envs.control import ControlEnvironment
from mavrl.envs.stepping import GymnasiumEnvironments
from mavrl.policies.gaussian import GaussianPolicy
from mavrl.policies.network import NetworkPolicy

PENDULUM = ControlEnvironment("Pendulum-v1", max_steps=30)
CART_POLE = ControlEnvironment("CartPole-v1", max_steps=30)
OBSERVATIONS = torch.randn(200, 4, generator=torch.Generator().manual_seed(0))


def ppo_of(
    settings: PPOSettings, environment: ControlEnvironment = CART_POLE, chunks: int = 1, looks: int = 1
) -> BatchedPPO:
    return BatchedPPO.of(environment.observation_size, environment.actions, settings, chunks, looks)


def train(
    settings: PPOSettings,
    seeds: list[int],
    rewards: list[StepReward] | None = None,
    environment: ControlEnvironment = CART_POLE,
    chunks: int = 1,
    only: int | None = None,
) -> list[Learner]:
    """What comes out of all chunks, or of the first ones only."""
    ppo = ppo_of(settings, environment, chunks)
    envs = GymnasiumEnvironments(environment, len(seeds) * settings.n_envs)
    learners = [ppo.begin(seed) for seed in seeds]
    for chunk in range(ppo.chunks if only is None else only):
        seen = ppo.train(envs, rewards or [TrueReward()] * len(seeds), seeds, learners, chunk)
        learners = [each[-1] for each in seen]
    return learners


def same(one: Learner, other: Learner) -> bool:
    tensors = all(getattr(one, k).equal(getattr(other, k)) for k in ("parameters", "mean", "square"))
    seen = [{} if each.observations is None else each.observations.state() for each in (one, other)]
    tensors = tensors and seen[0].keys() == seen[1].keys() and all(seen[0][k].equal(seen[1][k]) for k in seen[0])
    return tensors and (one.updates, one.steps, one.returns) == (other.updates, other.steps, other.returns)


class Update:
    """What an update was given, and the parameters before and after."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.given: list[tuple[Any, float, torch.Tensor, torch.Tensor]] = []
        update = batched_ppo._Chunk._update

        def recorded(chunk: Any, experience: Any, remaining: float) -> None:
            before = chunk._rows.clone()
            update(chunk, experience, remaining)
            self.given.append((experience, remaining, before, chunk._rows.clone()))

        monkeypatch.setattr(batched_ppo._Chunk, "_update", recorded)


@pytest.fixture
def update(monkeypatch: pytest.MonkeyPatch) -> Update:
    return Update(monkeypatch)


class TestUpdate:
    @pytest.mark.parametrize("ent_coef", [0.0, 0.3])
    @pytest.mark.parametrize("max_grad_norm", [0.05, 100.0])
    @pytest.mark.parametrize("environment", [CART_POLE, PENDULUM], ids=lambda each: each.id)
    def test_it_is_that_of_stable_baselines(
        self,
        tiny_ppo: Any,
        update: Update,
        environment: ControlEnvironment,
        ent_coef: float,
        max_grad_norm: float,
    ):
        """All steps are one minibatch, whose order then does not matter; the clipping is felt."""
        settings = tiny_ppo(
            total_steps=32, batch_size=32, n_epochs=6, ent_coef=ent_coef, max_grad_norm=max_grad_norm, clip_range=0.05
        )
        ppo = ppo_of(settings, environment)
        train(settings, [3, 8], environment=environment)
        ((experience, _, before, after),) = update.given
        for r in (0, 1):
            theirs = _stable_baselines(settings, ppo, before[2 * r : 2 * r + 2], environment)
            _fill(theirs, experience, r)
            theirs.train()
            mine = ppo.form.layers(after[2 * r : 2 * r + 2])
            for network, (hidden, last) in enumerate(_networks(theirs)):
                (w1, b1), (w2, b2) = ((w[network].mT, b[network, 0]) for w, b in mine)
                outputs = len(last.weight)
                pairs = ((w1, hidden.weight), (b1, hidden.bias), (w2[:outputs], last.weight), (b2[:outputs], last.bias))
                for found, expected in pairs:
                    assert found.numpy() == pytest.approx(expected.detach().numpy(), abs=2e-5)
            assert (after - before)[2 * r : 2 * r + 2].abs().max() > 0.02
            if environment is PENDULUM:
                found, expected = ppo.form.own(after[2 * r :])[0], theirs.policy.log_std.detach()
                assert found.numpy() == pytest.approx(expected.numpy(), abs=2e-5)
                assert found.abs().min() > 1e-3

    def test_the_schedule_is_of_the_whole_training(self, tiny_ppo: Any, update: Update):
        train(tiny_ppo(), [3], chunks=2)
        assert [remaining for _, remaining, _, _ in update.given] == [0.75, 0.5, 0.25, 0.0]

    def test_nothing_is_learned_at_a_rate_of_0(self, tiny_ppo: Any, update: Update):
        train(tiny_ppo(learning_rate="lin_1e-2"), [3])
        assert [before.equal(after) for *_, before, after in update.given] == [False, False, False, True]

    def test_steps_that_no_minibatch_takes_whole_are_the_last_one(self, tiny_ppo: Any):
        (learner,) = train(tiny_ppo(total_steps=32, batch_size=12), [3])
        assert learner.updates == 2 * 3


def _stable_baselines(
    settings: PPOSettings, ppo: BatchedPPO, rows: torch.Tensor, environment: ControlEnvironment
) -> PPO:
    names = ("n_steps", "batch_size", "n_epochs", "learning_rate", "clip_range", "gamma", "gae_lambda", "ent_coef",
             "vf_coef", "max_grad_norm")  # fmt: skip
    env = RewardedVecEnv(environment.training_vector(settings.n_envs), TrueReward())
    kwargs = {"net_arch": list(settings.hidden_sizes)}
    model = PPO(
        "MlpPolicy", env, policy_kwargs=kwargs, device="cpu", **{name: getattr(settings, name) for name in names}
    )
    model.set_logger(configure(None, []))
    for network, layers in enumerate(_networks(model)):
        for linear, (weight, bias) in zip(layers, ppo.form.layers(rows), strict=True):
            outputs = len(linear.weight)
            linear.load_state_dict({"weight": weight[network].mT[:outputs], "bias": bias[network, 0, :outputs]})
    return model


def _networks(model: PPO) -> list[tuple[torch.nn.Linear, torch.nn.Linear]]:
    policy = model.policy
    extractor: Any = policy.mlp_extractor
    return [(extractor.policy_net[0], policy.action_net), (extractor.value_net[0], policy.value_net)]  # type: ignore


def _fill(model: PPO, experience: Any, r: int) -> None:
    buffer, shape = model.rollout_buffer, (model.n_steps, model.n_envs)
    buffer.observations[:] = experience.states[r].view(*shape, -1).numpy()
    buffer.actions[:] = experience.actions[r].view(*shape, -1).numpy()
    for column, name in enumerate(("log_probs", "advantages", "returns")):
        getattr(buffer, name)[:] = experience.numbers[r, :, column].view(*shape).numpy()
    buffer.full = True


class TestVectors:
    """Pendulum: what is learned from are the vectors that were drawn, and what is paid are those that were taken."""

    def test_log_densities_are_of_what_was_drawn(self, tiny_ppo: Any, update: Update):
        settings = tiny_ppo(total_steps=32)
        train(settings, [3, 4], environment=PENDULUM)
        ((experience, _, before, _),) = update.given
        assert experience.actions.abs().max() > 1
        policy = ppo_of(settings, PENDULUM).policy(Learner(before[2:], before[2:], before[2:]))
        assert isinstance(policy, GaussianPolicy)
        density = torch.distributions.Normal(*policy(experience.states[1])).log_prob(experience.actions[1])
        assert experience.numbers[1, :, 0].numpy() == pytest.approx(density.sum(-1).numpy(), abs=1e-5)

    def test_a_reward_is_given_what_was_taken(self, tiny_ppo: Any, update: Update):
        seen = []

        class Watched(TrueReward):
            def of_rollout(self, rollout: Rollout):
                seen.append(rollout.action)
                return rollout.true_reward

        train(tiny_ppo(total_steps=32), [3], [Watched()], environment=PENDULUM)
        ((experience, _, _, _),) = update.given
        assert seen[0].reshape(32, 1).tolist() == experience.actions[0].clamp(-1, 1).tolist()

    def test_the_true_reward_is_that_of_the_environment_s_units(self, tiny_ppo: Any):
        """Beyond a bound is on it: the cost of the torque is 0.001 times its square, of at most 2."""
        envs = GymnasiumEnvironments(PENDULUM, 2)
        envs.reset(np.array([5, 5]))
        paid = envs.step(np.array([[1.0], [3.0]], dtype=np.float32)).reward
        assert paid[0] == paid[1]

    def test_training_follows_the_reward(self, tiny_ppo: Any):
        """Paid for pushing one way."""

        class Push(StepReward):
            def __call__(self, state, action, next_state, terminated, true_reward):
                return -np.square(action[:, 0] - 0.5)

        settings = tiny_ppo(total_steps=4096, n_steps=64, batch_size=64, n_epochs=10, gamma=0.0, learning_rate=1e-2)
        (learner,) = train(settings, [3], [Push()], PENDULUM)
        policy = ppo_of(settings, PENDULUM).policy(learner)
        assert isinstance(policy, GaussianPolicy)
        mean, std = policy(torch.randn(50, 3))
        assert mean.mean() == pytest.approx(0.5, abs=0.15)
        assert std.max() < 0.8


class TestNormalizedObservations:
    def test_networks_see_what_stable_baselines_would_show_them(self, tiny_ppo: Any, update: Update):
        """Every observation counts before it is seen, the first ones of new episodes too."""
        settings = tiny_ppo(total_steps=32, normalize_observations=True)
        seen = []

        class Watched(TrueReward):
            def of_rollout(self, rollout: Rollout):
                seen.append(rollout.state)
                return rollout.true_reward

        (learner,) = train(settings, [3], [Watched()])
        ((experience, _, _, _),) = update.given
        space = gym.spaces.Box(-np.inf, np.inf, (4,))
        theirs = VecNormalize(_Replay(seen[0], space), norm_reward=False)
        shown = [theirs.reset()] + [theirs.step(np.zeros(2))[0] for _ in range(15)]
        assert experience.states[0].numpy() == pytest.approx(np.concatenate(shown), abs=1e-5)
        assert learner.observations is not None
        assert learner.observations.count == pytest.approx(2 * 17, rel=1e-4)

    @pytest.mark.parametrize("environment", [CART_POLE, PENDULUM], ids=lambda each: each.id)
    def test_the_policy_takes_observations_as_they_are(self, tiny_ppo: Any, environment: ControlEnvironment):
        settings = tiny_ppo(normalize_observations=True)
        ppo = ppo_of(settings, environment)
        (learner,) = train(settings, [3], environment=environment)
        assert learner.observations is not None
        x = np.random.default_rng(0).normal(0.05, 0.05, (20, environment.observation_size))
        shown = torch.from_numpy(learner.observations.standardized(x))
        expected = ppo.form.outputs(learner.parameters[:1], shown[None])[0]
        found: Any = ppo.policy(learner)(torch.from_numpy(x))
        found = found[0] if isinstance(found, tuple) else found
        assert found.numpy() == pytest.approx(expected.numpy(), abs=1e-4)


class _Replay(DummyVecEnv):
    """Observations that were seen, as an environment of Stable-Baselines3."""

    def __init__(self, seen: np.ndarray, space: gym.spaces.Box) -> None:
        super().__init__([lambda: gym.make("CartPole-v1")] * 2)
        self.observation_space = space
        self._seen, self._at = seen, 0

    def reset(self) -> Any:
        return self._seen[0]

    def step_async(self, actions: np.ndarray) -> None:
        pass

    def step_wait(self) -> Any:
        self._at += 1
        return self._seen[self._at], np.zeros(2), np.zeros(2, dtype=bool), [{}, {}]


class TestExperience:
    """What a step is worth, in an environment whose reward is the number of its action."""

    @pytest.mark.parametrize("ends", ["terminated", "truncated"])
    def test_only_a_time_limit_is_looked_beyond(self, tiny_ppo: Any, counter: Any, update: Update, ends: str):
        environment = counter(limit=1 if ends == "truncated" else 9, ends_at=1 if ends == "terminated" else None)
        settings = tiny_ppo(total_steps=32, gae_lambda=0.7, gamma=0.9)
        ppo = ppo_of(settings, environment)
        train(settings, [3], environment=environment)
        ((experience, _, before, _),) = update.given
        seen = experience.states[0] + torch.tensor([0.0, 1.0])  # the number stays, the steps go on
        beyond = ppo.form.outputs(before[1:], seen[None])[0, :, 0] if ends == "truncated" else torch.zeros(32)
        expected = experience.actions[0] + 0.9 * beyond
        assert experience.numbers[0, :, 2].numpy() == pytest.approx(expected.numpy(), abs=1e-5)

    def test_log_probabilities_are_those_of_the_policy(self, tiny_ppo: Any, update: Update):
        settings = tiny_ppo(total_steps=32)
        train(settings, [3, 4])
        ((experience, _, before, _),) = update.given
        policy = ppo_of(settings).policy(Learner(before[2:], before[2:], before[2:]))
        assert isinstance(policy, NetworkPolicy)
        expected = policy.probabilities(experience.states[1], 1.0).log().gather(-1, experience.actions[1, :, None])
        assert experience.numbers[1, :, :1].numpy() == pytest.approx(expected.numpy(), abs=1e-5)

    def test_rewards_are_divided_by_the_deviation_of_the_return(self, tiny_ppo: Any, update: Update):
        settings = tiny_ppo(total_steps=32, normalize_reward=True, gae_lambda=0.0, gamma=0.0)
        (learner,) = train(settings, [3], [ConstantReward(2.0)])
        ((experience, _, _, _),) = update.given
        assert learner.returns.count == pytest.approx(32, rel=1e-4)
        assert learner.returns.mean == pytest.approx(2, rel=1e-4)
        deviation = np.sqrt(learner.returns.variance + 1e-8)
        assert experience.numbers[0, -1, 2].item() == pytest.approx(min(10, 2 / deviation), rel=1e-4)


class TestCompany:
    @pytest.mark.parametrize(
        "changes",
        [
            {},
            {"n_envs": 3, "n_steps": 17, "batch_size": 20, "hidden_sizes": [16, 32], "normalize_reward": True},
            {"normalize_observations": True},
        ],
    )
    @pytest.mark.parametrize("environment", [CART_POLE, PENDULUM], ids=lambda each: each.id)
    def test_a_replicate_is_what_it_would_be_alone(
        self, tiny_ppo: Any, changes: dict[str, Any], environment: ControlEnvironment
    ):
        """To the last bit, whatever the others are paid."""
        settings = tiny_ppo(**changes)
        rewards = [ConstantReward(1.0), TrueReward(), ConstantReward(-1.0)]
        together = train(settings, [4, 5, 6], rewards, environment, chunks=2)
        for k in (0, 1, 2):
            (alone,) = train(settings, [4 + k], [rewards[k]], environment, chunks=2)
            assert same(alone, together[k])
        assert not same(together[0], together[1])

    def test_with_layers_of_odd_sizes_it_is_so_but_for_rounding(self, tiny_ppo: Any):
        """On some processors products of such layers round by where in memory they begin."""
        settings = tiny_ppo(n_envs=3, n_steps=17, batch_size=20, hidden_sizes=[9, 7])
        rewards = [ConstantReward(1.0), TrueReward(), ConstantReward(-1.0)]
        together = train(settings, [4, 5, 6], rewards, chunks=2)
        for k in (0, 1, 2):
            (alone,) = train(settings, [4 + k], [rewards[k]], chunks=2)
            torch.testing.assert_close(alone.parameters, together[k].parameters, rtol=0, atol=1e-5)

    def test_one_that_fails_leaves_the_others_alone(self, tiny_ppo: Any):
        rewards = [ConstantReward(float("nan")), TrueReward()]
        failed, other = train(tiny_ppo(), [4, 5], rewards)
        (alone,) = train(tiny_ppo(), [5])
        assert (failed.finite, other.finite) == (False, True)
        assert same(other, alone)


class TestChunks:
    def test_each_has_random_streams_of_its_own(self, tiny_ppo: Any, update: Update):
        train(tiny_ppo(learning_rate=1e-9), [3], chunks=4)
        firsts = [experience.states[0, :2] for experience, *_ in update.given]
        assert len({str(first.tolist()) for first in firsts}) == 4

    def test_there_are_at_most_as_many_as_updates(self, tiny_ppo: Any):
        assert ppo_of(tiny_ppo(), chunks=9).chunks == 4
        assert [learner.steps for learner in train(tiny_ppo(), [3], chunks=9)] == [128]

    @pytest.mark.parametrize("normalize_reward", [False, True])
    @pytest.mark.parametrize("kind", ["true", "constant", "mean", "sample per step", "sample per episode"])
    def test_a_learner_s_state_is_all_that_one_needs(
        self, tiny_ppo: Any, make_cart_pole_reward: Any, kind: str, normalize_reward: bool
    ):
        """Whatever the reward and the environments were before."""
        settings = tiny_ppo(normalize_reward=normalize_reward, normalize_observations=normalize_reward)
        ppo = ppo_of(settings, chunks=2)
        envs = GymnasiumEnvironments(CART_POLE, settings.n_envs)
        ((half,),) = ppo.train(envs, [make_cart_pole_reward(kind)], [3], [ppo.begin(3)], 0)
        again = Learner.from_state(half.state())
        ((whole,),) = ppo.train(GymnasiumEnvironments(CART_POLE, 9), [make_cart_pole_reward(kind)], [3], [again], 1)
        assert same(whole, train(settings, [3], [make_cart_pole_reward(kind)], chunks=2)[0])

    def test_it_is_so_for_vectors(self, tiny_ppo: Any):
        settings = tiny_ppo(normalize_observations=True)
        ppo = ppo_of(settings, PENDULUM, chunks=2)
        ((half,),) = ppo.train(GymnasiumEnvironments(PENDULUM, 2), [TrueReward()], [3], [ppo.begin(3)], 0)
        again = Learner.from_state(half.state())
        ((whole,),) = ppo.train(GymnasiumEnvironments(PENDULUM, 2), [TrueReward()], [3], [again], 1)
        assert same(whole, train(settings, [3], environment=PENDULUM, chunks=2)[0])


class TestLooks:
    """Looks at policies in the middle of a chunk: there are four updates of 32 steps."""

    @pytest.mark.parametrize(
        ("chunks", "looks", "expected"),
        [
            (1, 1, [[4]]),
            (1, 2, [[2, 4]]),
            (1, 4, [[1, 2, 3, 4]]),
            (1, 99, [[1, 2, 3, 4]]),
            (2, 1, [[2], [4]]),
            (2, 4, [[1, 2], [3, 4]]),
            (2, 3, [[1, 2], [4]]),
        ],
    )
    def test_when(self, tiny_ppo: Any, chunks: int, looks: int, expected: list[list[int]]):
        ppo = ppo_of(tiny_ppo(), chunks=chunks, looks=looks)
        assert [ppo.looks_of(chunk) for chunk in range(chunks)] == expected

    def test_they_change_nothing_and_show_what_a_shorter_chunk_ends_with(self, tiny_ppo: Any):
        settings = tiny_ppo()
        ppo, envs = ppo_of(settings, looks=4), GymnasiumEnvironments(CART_POLE, settings.n_envs)
        (seen,) = ppo.train(envs, [TrueReward()], [3], [ppo.begin(3)], 0)
        assert [learner.steps for learner in seen] == [32, 64, 96, 128]
        assert same(seen[-1], train(settings, [3])[0])
        assert same(seen[1], train(settings, [3], chunks=2, only=1)[0])


@pytest.fixture
def make_cart_pole_reward(make_model: Any, paid: Any) -> Callable[[str], StepReward]:
    """Rewards for CartPole, by name; the learned ones look at the first three features."""

    class OfThree(LearnedStepReward):
        def __call__(self, state, action, next_state, terminated, true_reward):
            return super().__call__(state[:, :3], action, next_state[:, :3], terminated, true_reward)

        def of_rollout(self, rollout: Rollout):
            three = (rollout.state[..., :3], rollout.next_state[..., :3])
            return super().of_rollout(replace(rollout, state=three[0], next_state=three[1]))

    def make(kind: str) -> StepReward:
        if kind in ("true", "constant"):
            return TrueReward() if kind == "true" else ConstantReward(-1.0)
        reward, _, per = kind.partition(" per ")
        model = make_model([[1.0, 2.0, 3.0, 0.0, 1.0], [3.0, 0.0, 3.0, 2.0, 0.0]], [0.5, 1.5], at_termination=-1.0)
        return OfThree(model, paid(reward=reward, sample_per=per or "step", clip=10.0), seed=3)

    return make


class TestLearning:
    def test_training_follows_the_reward(self, tiny_ppo: Any, counter: Any):
        """The reward of a step is the number of its action."""
        environment = counter(limit=8)
        states = np.array([[n, k] for n in (0.2, 0.8) for k in range(8)], dtype=np.float32)
        settings = tiny_ppo(total_steps=1024, learning_rate=3e-2)
        one, other = train(settings, [3, 3], [TrueReward(), _Negative()], environment)
        policies = [ppo_of(settings, environment).policy(each) for each in (one, other)]
        assert [policy.act(states).tolist() for policy in policies] == [[1] * 16, [0] * 16]


class _Negative(StepReward):
    def __call__(self, state, action, next_state, terminated, true_reward):
        return -true_reward


class TestImitation:
    @pytest.fixture
    def ppo(self, tiny_ppo: Any) -> BatchedPPO:
        return ppo_of(tiny_ppo(hidden_sizes=[32]))

    @pytest.fixture
    def imitate(self, ppo: BatchedPPO, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Learner]:
        def make(steps: int, wanted: torch.Tensor, seed: int = 3) -> Learner:
            monkeypatch.setattr(batched_ppo, "_IMITATION_STEPS", steps)
            return ppo.imitate(ppo.begin(seed), seed, OBSERVATIONS[: len(wanted)], wanted)

        return make

    def test_it_reproduces_probabilities(self, ppo: BatchedPPO, imitate: Any):
        right = torch.sigmoid(2 * OBSERVATIONS[:, 0])
        wanted = torch.stack([1 - right, right], dim=-1)
        before, after = (
            ppo.policy(each).probabilities(OBSERVATIONS, 1.0) for each in (ppo.begin(3), imitate(1500, wanted))
        )
        assert (after - wanted).abs().max() < 0.03
        assert (before - wanted).abs().max() > 0.3

    def test_it_reproduces_means_of_vectors_and_takes_deviations(self, tiny_ppo: Any, monkeypatch: pytest.MonkeyPatch):
        """In observations that are far from 0, which it standardizes."""
        monkeypatch.setattr(batched_ppo, "_IMITATION_STEPS", 1000)
        ppo = ppo_of(tiny_ppo(hidden_sizes=[32], normalize_observations=True), PENDULUM)
        states = 3 * OBSERVATIONS[:, :3] + torch.tensor([40.0, 0.0, -7.0])
        wanted = torch.sin(OBSERVATIONS[:, :1])
        learner = ppo.imitate(ppo.begin(3), 3, states, wanted, torch.tensor([-1.5]))
        policy = ppo.policy(learner)
        assert isinstance(policy, GaussianPolicy)
        mean, std = policy(states)
        assert (mean - wanted).abs().mean() < 0.06  # of 0.6 before
        assert std.log().numpy() == pytest.approx(-1.5, abs=1e-5)
        assert learner.observations is not None
        assert learner.observations.mean == pytest.approx(states.mean(0).numpy(), abs=1e-3)

    def test_it_leaves_the_value_function_alone_and_depends_on_the_seed(self, ppo: BatchedPPO, imitate: Any):
        wanted = torch.full((50, 2), 0.5)
        one, again, other = (imitate(3, wanted, seed) for seed in (3, 3, 4))
        assert one.parameters.equal(again.parameters)
        assert not one.parameters[0].equal(other.parameters[0])
        assert one.parameters[1].equal(ppo.begin(3).parameters[1])
        assert not one.parameters[0].equal(ppo.begin(3).parameters[0])
        assert not one.mean.any()
