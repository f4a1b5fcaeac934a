"""SAC on any reward: what Stable-Baselines3 does, in parts, with a memory that is kept and paid anew."""

import csv
import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from stable_baselines3.common.buffers import ReplayBuffer
from stable_baselines3.common.utils import set_random_seed

from mavrl.actions import VectorActions
from mavrl.agents import training
from mavrl.agents.expert_training import true_returns
from mavrl.agents.rewards import ConstantReward, LearnedStepReward, StepReward, TrueReward
from mavrl.agents.sac import sac
from mavrl.agents.sac_settings import SACSettings
from mavrl.agents.sac_training import SACTrainer, _key, pay_anew
from mavrl.agents.training import PolicyTraining, policy_after, train_policies
from mavrl.agents.vector_env import RewardedVecEnv
from mavrl.envs.control import ControlEnvironment
from mavrl.errors import TrainingError
from mavrl.model.reward_model import save_reward_model
from mavrl.policies.gaussian import GaussianPolicy
from mavrl.workers import Workers

PENDULUM = ControlEnvironment("Pendulum-v1", max_steps=9)
SETTINGS = SACSettings(
    total_steps=60, learning_rate="lin_1e-2", batch_size=8, buffer_size=1000, learning_starts=10, tau=0.05, gamma=0.9,
    train_freq=1, gradient_steps=1, ent_coef="auto", hidden_sizes=[8],
)  # fmt: skip


@pytest.fixture
def job(tmp_path: Path) -> Callable[..., PolicyTraining]:
    """A training of three parts on the true reward, in a directory of this name."""

    def make(name: str = "policy", settings: dict[str, Any] | None = None, **changes: Any) -> PolicyTraining:
        plain = {"environment": PENDULUM, "reward": "true", "seed": 3, "chunks": 3, "evaluation_episodes": 2}
        plain["agent"] = replace(SETTINGS, **(settings or {}))
        return PolicyTraining(**{**plain, "directory": tmp_path / name, **changes})

    return make


def train(*jobs: PolicyTraining, until: int | None = None) -> None:
    train_policies(jobs, Workers(1), until)


def curve(job: PolicyTraining) -> list[tuple[int, float]]:
    with (job.directory / "curve.csv").open(newline="") as table:
        return [(int(row["step"]), float(row["true_return"])) for row in csv.DictReader(table)]


def kept(job: PolicyTraining) -> dict[str, Any]:
    """The state in the checkpoint of a training that rests."""
    (path,) = (job.directory / "checkpoints").iterdir()
    return torch.load(path, weights_only=True)["learner"]


class TestWhatItLeaves:
    def test_the_policy_its_curve_and_no_memory(self, job: Any):
        train(done := job())
        assert {path.name for path in done.directory.iterdir()} == {"policy.safetensors", "card.json", "curve.csv"}
        policy = GaussianPolicy.load(done.directory)
        assert policy.card == {"algorithm": "sac", "steps": 60, "seed": 3, "checkpoint": "last"}
        assert (policy.squash, len(policy.critics), policy.actions.high) == ("tanh", 2, (2.0,))
        assert [step for step, _ in curve(done)] == [20, 40, 60]
        address = (3, "training curve", 60)
        assert true_returns(PENDULUM, policy, address, 2, Workers(1)).mean() == curve(done)[-1][1]

    def test_looks_change_nothing(self, job: Any):
        train(plain := job("plain"), looked := job("looked", looks=6))
        assert [step for step, _ in curve(looked)] == [10, 20, 30, 40, 50, 60]
        assert looked.n_evaluations == 6
        assert curve(looked)[1::2] == curve(plain)

    def test_parts_are_whole_rounds(self, job: Any):
        train(done := job(settings={"train_freq": 8, "gradient_steps": -1}))
        assert [step for step, _ in curve(done)] == [16, 40, 64]

    def test_a_seed_is_a_training(self, job: Any):
        jobs = job("one"), job("again"), job("other", seed=4)
        train(*jobs)
        prints = [GaussianPolicy.load(each.directory).fingerprint for each in jobs]
        assert prints[0] == prints[1] != prints[2]

    def test_weights_that_are_not_finite_are_one_line(self, job: Any):
        with pytest.raises(TrainingError, match=r"SAC of replicate 0 \(seed 3\) after \d+ steps: the policy's weights"):
            train(job(settings={"learning_rate": 1e30}))

    def test_numbered_actions_are_refused(self):
        with pytest.raises(ValueError, match="SAC takes vectors as actions, and CartPole-v1 has 2 actions"):
            SACTrainer(ControlEnvironment("CartPole-v1"), SETTINGS, 1)


def test_a_part_is_what_stable_baselines_does() -> None:
    """Its own `learn` reaches the same weights to the last bit."""
    settings = replace(SETTINGS, learning_rate=1e-2)
    trainer = SACTrainer(PENDULUM, settings, 1)
    ((mine,),) = trainer.train([TrueReward()], [3], [trainer.begin(3)], 0)
    env = RewardedVecEnv(PENDULUM.training_vector(1), TrueReward())
    names = ("batch_size", "learning_starts", "tau", "gamma", "learning_rate", "hidden_sizes", "ent_coef")
    theirs = sac(env, {name: getattr(settings, name) for name in names} | {"buffer_size": 60}, _key(3, "weights"))
    set_random_seed(_key(3, "chunk", 0))
    theirs.action_space.seed(_key(3, "random actions", 0))
    env.seed(_key(3, "episodes", 0))
    theirs.learn(60)
    for name, tensor in theirs.policy.state_dict().items():
        assert mine.model.policy.state_dict()[name].equal(tensor), name
    assert mine.model.log_ent_coef is not None
    assert theirs.log_ent_coef is not None
    assert mine.model.log_ent_coef.equal(theirs.log_ent_coef)


class TestGoingOn:
    @pytest.mark.parametrize("settings", [{}, {"buffer_size": 23}, {"ent_coef": 0.1}], ids=str)
    def test_parts_make_the_whole(self, job: Any, settings: dict[str, Any]):
        """To the last bit, also where the oldest transitions are forgotten."""
        whole, parts = job("whole", settings), job("parts", settings)
        train(whole)
        for until in (1, 2, None):
            train(parts, until=until)
        assert curve(parts) == curve(whole)
        assert GaussianPolicy.load(parts.directory).fingerprint == GaussianPolicy.load(whole.directory).fingerprint

    def test_after_a_kill(self, job: Any, monkeypatch: pytest.MonkeyPatch):
        class Cut(BaseException):
            pass

        def limited(*arguments: Any) -> np.ndarray:
            if arguments[2][-1] == 40:
                raise Cut
            return true_returns(*arguments)

        train(whole := job("whole"))
        cut = job("cut")
        with monkeypatch.context() as patch:
            patch.setattr(training, "true_returns", limited)
            with pytest.raises(Cut):
                train(cut)
        assert kept(cut)["steps"] == 20
        train(cut)
        assert curve(cut) == curve(whole)
        assert GaussianPolicy.load(cut.directory).fingerprint == GaussianPolicy.load(whole.directory).fingerprint

    def test_the_memory_is_kept_once_and_only_what_there_is(self, job: Any):
        train(done := job(settings={"total_steps": 3000, "learning_starts": 2999}, chunks=100), until=2)
        state = kept(done)
        assert {len(each) for each in state["buffer"].values()} == {60}
        (path,) = (done.directory / "checkpoints").iterdir()
        assert path.stat().st_size < 60_000  # where 3,000 transitions alone would take more
        assert policy_after(done.directory, 2).card["steps"] == 60


class TestAnotherReward:
    def test_all_that_is_remembered_is_paid_anew(self, job: Any):
        first = job(reward=2.0)
        train(first, until=1)
        assert kept(first)["buffer"]["rewards"].unique().tolist() == [2.0]
        train(replace(first, reward=-1.0), until=2)
        state = kept(first)
        assert state["buffer"]["rewards"].flatten().tolist() == [-1.0] * 40
        assert state["steps"] == 40

    def test_before_it_learns_from_it(self, job: Any, monkeypatch: pytest.MonkeyPatch):
        """No batch has a reward of before."""
        seen = set()
        inner = ReplayBuffer.sample

        def watched(self: ReplayBuffer, *arguments: Any, **named: Any) -> Any:
            found = inner(self, *arguments, **named)
            seen.update(found.rewards.flatten().tolist())
            return found

        first = job(reward=2.0)
        train(first, until=1)
        monkeypatch.setattr(ReplayBuffer, "sample", watched)
        train(replace(first, reward=-1.0), until=2)
        assert seen == {-1.0}

    def test_a_refitted_model_is_another_reward(
        self, job: Any, make_model: Any, paid: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ):
        """The same model is not, wherever it lies and however often it is loaded."""
        box, counts = VectorActions((-2.0,), (2.0,)), []
        monkeypatch.setattr("mavrl.agents.sac_training.pay_anew", lambda buffer, reward: counts.append(buffer.size()))
        for name, bias in (("0", 0.0), ("1", 0.0), ("2", 1.0)):
            model = make_model([[0.0] * 4], [0.1], bias=[bias], actions=box)
            save_reward_model(tmp_path / name / "reward_model", model.tensors(), model.description)
        learned = job(reward=paid())
        for until in (1, 2, 3):
            train(replace(learned, model=tmp_path / str(until - 1)), until=until)
        assert counts == [40]


class TestPayAnew:
    """A buffer of transitions in three episodes, the second of which a time limit ends."""

    @pytest.fixture
    def buffer(self) -> Callable[[int], ReplayBuffer]:
        def make(size: int) -> ReplayBuffer:
            env = PENDULUM.make()
            buffer = ReplayBuffer(size, env.observation_space, env.action_space, device="cpu")
            for k in range(9):
                state, done = np.full((1, 3), float(k)), np.array([k in (2, 5)])
                cut = [{"TimeLimit.truncated": k == 5}]
                buffer.add(state, state + 0.5, np.full((1, 1), k / 10), np.array([7.0]), done, cut)
            env.close()
            return buffer

        return make

    @pytest.mark.parametrize("size", [20, 9, 6])
    def test_every_transition_is_paid_for_itself(self, buffer: Any, size: int):
        class Told(StepReward):
            def __call__(self, state, action, next_state, terminated, true_reward):
                assert next_state[:, 0] == pytest.approx(state[:, 0] + 0.5)
                assert action[:, 0] == pytest.approx(state[:, 0] / 10)
                return state[:, 0] + 100 * terminated

        memory = buffer(size)
        pay_anew(memory, Told())
        n = memory.size()
        states = memory.observations[:n, 0, 0]
        assert sorted(states.tolist()) == list(range(9 - n, 9))
        assert memory.rewards[:n, 0].tolist() == [s + 100 * (s == 2) for s in states.tolist()]
        assert not memory.rewards[n:].any()

    @pytest.mark.parametrize("size", [20, 7])
    def test_from_the_oldest_on_episode_by_episode(self, buffer: Any, size: int):
        begun: list[int] = []

        class Watched(StepReward):
            paid = 0

            def begin(self, started):
                begun.append(self.paid)

            def __call__(self, state, action, next_state, terminated, true_reward):
                self.paid += 1
                return state[:, 0]

        pay_anew(buffer(size), Watched())
        assert begun == ([0, 3, 6] if size == 20 else [0, 1, 4])

    def test_a_sample_of_each_episode_is_one_reward(self, buffer: Any, make_model: Any, paid: Any):
        model = make_model([[0.0] * 4], [1.0], actions=VectorActions((-2.0,), (2.0,)))
        memory = buffer(20)
        pay_anew(memory, LearnedStepReward(model, paid(reward="sample", sample_per="episode"), 3))
        found = memory.rewards[:9, 0]
        assert [len(set(found[k : k + 3].tolist())) for k in (0, 3, 6)] == [1, 1, 1]
        assert len(set(found.tolist())) == 3


def test_fingerprints_tell_rewards_apart(make_model: Any, paid: Any) -> None:
    models = [make_model([[0.0] * 5], [1.0], bias=[bias]) for bias in (0.0, 0.0, 1.0)]
    learned = [LearnedStepReward(model, paid(), 3).fingerprint for model in models]
    other = LearnedStepReward(models[0], paid(clip=2.0), 3).fingerprint
    assert learned[0] == learned[1]
    every = {
        learned[0],
        learned[2],
        other,
        *(each.fingerprint for each in (TrueReward(), *map(ConstantReward, (0, 1)))),
    }
    assert len(every) == 6


def test_nothing_is_printed(job: Any, capsys: pytest.CaptureFixture, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        train(job())
    assert capsys.readouterr().out == ""
