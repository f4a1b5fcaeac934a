"""The training of one policy: what it keeps, when it ends, and how it goes on."""

import csv
import importlib.util
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mavrl.agents import training
from mavrl.agents.batched_ppo import BatchedPPO, Learner
from mavrl.agents.expert_training import true_returns
from mavrl.agents.training import PolicyTraining, policy_after, train_policies
from mavrl.envs.control import ControlEnvironment
from mavrl.errors import StorageError, TrainingError
from mavrl.model.reward_model import save_reward_model
from mavrl.model.step_reward import StepRewardModel
from mavrl.policies.network import NetworkPolicy
from mavrl.storage.checkpoints import Checkpoints
from mavrl.workers import Workers, workers

CART_POLE = ControlEnvironment("CartPole-v1", max_steps=60)


def train_policy(*jobs: PolicyTraining, until: int | None = None) -> None:
    train_policies(jobs, Workers(1), until)


class Cut(BaseException):
    """What ends a training in the middle; nothing may catch it."""


@pytest.fixture
def job(tiny_ppo: Any, tmp_path: Path) -> Callable[..., PolicyTraining]:
    """A training of four chunks on the true reward, in a directory of this name."""

    def make(name: str = "policy", **changes: Any) -> PolicyTraining:
        plain = {"environment": CART_POLE, "agent": tiny_ppo(), "reward": "true", "seed": 3, "chunks": 4}
        return PolicyTraining(**{**plain, "directory": tmp_path / name, "evaluation_episodes": 6, **changes})

    return make


def curve(job: PolicyTraining) -> list[dict[str, float]]:
    with (job.directory / "curve.csv").open(newline="") as table:
        return [{name: float(value) for name, value in row.items()} for row in csv.DictReader(table)]


def returns(job: PolicyTraining) -> list[float]:
    return [row["true_return"] for row in curve(job)]


def files(job: PolicyTraining) -> dict[str, tuple[int, bytes]]:
    found = [path for path in job.directory.rglob("*") if path.is_file()]
    return {str(path.relative_to(job.directory)): (path.stat().st_mtime_ns, path.read_bytes()) for path in found}


def judged(job: PolicyTraining, steps: float) -> float:
    """The stored policy's mean return in the episodes that the curve was measured in after these steps."""
    policy, address = NetworkPolicy.load(job.directory), (job.seed, "training curve", int(steps))
    return float(true_returns(job.environment, policy, address, job.evaluation_episodes, Workers(1)).mean())


class TestWhatItLeaves:
    def test_evaluations_within_a_part_are_rows_of_the_curve(self, job: Any):
        done, plain = job(chunks=2, looks=4), job("plain", chunks=2)
        train_policy(done)
        train_policy(plain)
        assert [row["step"] for row in curve(done)] == [32, 64, 96, 128]
        assert done.n_evaluations == 4
        assert returns(done)[1::2] == returns(plain)  # they change nothing
        assert plain.n_evaluations == 2

    def test_the_best_policy_may_be_of_the_middle_of_a_part(self, job: Any, tiny_ppo: Any):
        settings = tiny_ppo(total_steps=512, learning_rate=1e-2)
        done = job(agent=settings, reward=-1.0, chunks=1, looks=16, checkpoint="true_reward")
        train_policy(done)
        best = max(range(16), key=lambda k: returns(done)[k])
        assert best < 15
        assert judged(done, curve(done)[best]["step"]) == returns(done)[best]

    def test_the_policy_its_curve_and_no_checkpoints(self, job: Any):
        done = job()
        train_policy(done)
        assert {path.name for path in done.directory.iterdir()} == {"policy.safetensors", "card.json", "curve.csv"}
        card = NetworkPolicy.load(done.directory).card
        assert card == {"algorithm": "ppo", "steps": 128, "seed": 3, "checkpoint": "last"}
        assert [row["step"] for row in curve(done)] == [32, 64, 96, 128]
        assert all(row["seconds"] > 0 for row in curve(done))

    def test_the_last_policy_by_default(self, job: Any):
        done = job()
        train_policy(done)
        assert judged(done, 128) == returns(done)[-1]

    def test_the_curve_is_of_true_returns_whatever_is_paid(self, job: Any):
        one, other = job("one"), job("other", reward=-1.0)
        train_policy(one)
        train_policy(other)
        assert min(returns(other)) > 0
        assert judged(other, 128) == returns(other)[-1]
        assert returns(one) != returns(other)

    def test_a_seed_is_a_training(self, job: Any):
        one, again, other = job("one"), job("again"), job("other", seed=4)
        for each in (one, again, other):
            train_policy(each)
        prints = [NetworkPolicy.load(each.directory).fingerprint for each in (one, again, other)]
        assert prints[0] == prints[1] != prints[2]
        assert returns(one) == returns(again)

    def test_it_gives_the_threads_back(self, job: Any, monkeypatch: pytest.MonkeyPatch):
        counts = []
        monkeypatch.setattr(training, "_train_alike", lambda *arguments: counts.append(torch.get_num_threads()))
        torch.set_num_threads(2)
        try:
            train_policy(job())
            assert (counts, torch.get_num_threads()) == ([1], 2)
        finally:
            torch.set_num_threads(1)


class TestTheBestOnTheTrueReward:
    @pytest.fixture
    def getting_worse(self, job: Any, tiny_ppo: Any) -> Callable[..., PolicyTraining]:
        """Every step costs 1: the poles fall ever sooner."""
        ppo = tiny_ppo(total_steps=512, n_steps=32, learning_rate=2e-2)
        return lambda name, **changes: job(name, agent=ppo, reward=-1.0, chunks=8, **changes)

    def test_it_is_kept(self, getting_worse: Any):
        best, last = getting_worse("best", checkpoint="true_reward"), getting_worse("last")
        train_policy(best)
        train_policy(last)
        assert returns(best) == returns(last)
        top = int(np.argmax(returns(best)))
        assert returns(best)[top] > returns(best)[-1]
        assert judged(best, curve(best)[top]["step"]) == max(returns(best))
        assert judged(last, curve(last)[-1]["step"]) == returns(last)[-1]
        assert NetworkPolicy.load(best.directory).card["checkpoint"] == "true_reward"

    @pytest.mark.parametrize("when", ["before", "after"])
    def test_also_by_a_training_that_was_cut_off(self, getting_worse: Any, when: str, monkeypatch: pytest.MonkeyPatch):
        """Before or after the chunk with the best policy."""
        whole, cut = (getting_worse(name, checkpoint="true_reward") for name in ("whole", "cut"))
        train_policy(whole)
        top = int(np.argmax(returns(whole)))
        _cut_off(cut, monkeypatch, at=max(1, top) if when == "before" else top + 2)
        train_policy(cut)
        assert returns(cut) == returns(whole)
        assert NetworkPolicy.load(cut.directory).fingerprint == NetworkPolicy.load(whole.directory).fingerprint

    def test_the_first_of_equals(self, job: Any, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setattr(training, "true_returns", lambda *arguments: np.array([7.0]))
        best = job(checkpoint="true_reward")
        train_policy(best)
        first = replace(best, directory=best.directory.parent / "first", stop_below=8.0)
        train_policy(first)
        prints = [NetworkPolicy.load(each.directory).fingerprint for each in (best, first)]
        assert prints[0] == prints[1]


class TestStopping:
    def test_a_return_below_the_threshold_ends_it(self, job: Any):
        stopped = job(stop_below=1e9)
        train_policy(stopped)
        assert [row["step"] for row in curve(stopped)] == [32]
        assert NetworkPolicy.load(stopped.directory).card["steps"] == 32
        assert judged(stopped, 32) == returns(stopped)[0]

    def test_the_threshold_itself_does_not(self, job: Any):
        whole = job("whole")
        train_policy(whole)
        low = min(returns(whole))
        train_policy(kept := job("kept", stop_below=low))
        assert returns(kept) == returns(whole)
        train_policy(stopped := job("stopped", stop_below=low + 1e-6))
        assert returns(stopped) == returns(whole)[: returns(whole).index(low) + 1]


def _cut_off(job: PolicyTraining | list[PolicyTraining], monkeypatch: pytest.MonkeyPatch, at: int) -> None:
    """Train until evaluation number `at`, and end the process there."""
    jobs = job if isinstance(job, list) else [job]
    count, evaluate = iter(range(at)), true_returns

    def limited(*arguments: Any) -> np.ndarray:
        if next(count, None) is None:
            raise Cut
        return evaluate(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(training, "true_returns", limited)
        with pytest.raises(Cut):
            train_policy(*jobs)
    assert not any((each.directory / "card.json").exists() for each in jobs)


class TestGoingOn:
    @pytest.mark.parametrize("at", [1, 3])
    def test_a_training_that_was_cut_off_ends_like_one_that_was_not(
        self, job: Any, at: int, monkeypatch: pytest.MonkeyPatch
    ):
        whole, cut = job("whole"), job("cut")
        train_policy(whole)
        _cut_off(cut, monkeypatch, at)
        assert [row["step"] for row in curve(cut)] == [32 * (k + 1) for k in range(at)]
        train_policy(cut)
        assert returns(cut) == returns(whole)
        assert [row["step"] for row in curve(cut)] == [32, 64, 96, 128]
        assert NetworkPolicy.load(cut.directory).fingerprint == NetworkPolicy.load(whole.directory).fingerprint
        assert {path.name for path in cut.directory.iterdir()} == {path.name for path in whole.directory.iterdir()}

    def test_between_the_curve_s_row_and_the_checkpoint(self, job: Any, monkeypatch: pytest.MonkeyPatch):
        """The row is written first; the chunk is done again, and has one row."""
        whole, cut = job("whole"), job("cut")
        train_policy(whole)

        def end(*arguments: Any) -> None:
            raise Cut

        with monkeypatch.context() as patch:
            patch.setattr(Checkpoints, "save", end)
            with pytest.raises(Cut):
                train_policy(cut)
        assert len(curve(cut)) == 1
        train_policy(cut)
        assert returns(cut) == returns(whole)

    def test_after_the_last_chunk(self, job: Any, monkeypatch: pytest.MonkeyPatch):
        cut = job()

        def end(*arguments: Any) -> None:
            raise Cut

        with monkeypatch.context() as patch:
            patch.setattr(NetworkPolicy, "save", end)
            with pytest.raises(Cut):
                train_policy(cut)
        before = returns(cut)
        assert len(before) == 4
        train_policy(cut)
        assert returns(cut) == before
        assert judged(cut, 128) == before[-1]

    def test_a_stopped_one_stays_stopped(self, job: Any, monkeypatch: pytest.MonkeyPatch):
        """Even when it was cut off before its policy was written."""
        stopped = job(stop_below=1e9)

        def end(*arguments: Any) -> None:
            raise Cut

        with monkeypatch.context() as patch:
            patch.setattr(NetworkPolicy, "save", end)
            with pytest.raises(Cut):
                train_policy(stopped)
        train_policy(stopped)
        assert len(curve(stopped)) == 1
        assert NetworkPolicy.load(stopped.directory).card["steps"] == 32

    def test_a_finished_one_is_not_repeated(self, job: Any, monkeypatch: pytest.MonkeyPatch):
        done = job()
        train_policy(done)
        before = files(done)
        monkeypatch.setattr(training, "_Run", lambda *arguments: pytest.fail("trained again"))
        train_policy(done)
        assert files(done) == before

    def test_one_whose_weights_are_damaged_is_trained_again(self, job: Any, caplog: pytest.LogCaptureFixture):
        done = job()
        train_policy(done)
        before, path = NetworkPolicy.load(done.directory).fingerprint, done.directory / "policy.safetensors"
        content = path.read_bytes()
        path.write_bytes(content[:-5] + bytes([content[-5] ^ 1]) + content[-4:])
        train_policy(done)
        assert f"{path}: damaged" in caplog.text
        assert NetworkPolicy.load(done.directory).fingerprint == before
        assert [row["step"] for row in curve(done)] == [32, 64, 96, 128]

    @pytest.mark.parametrize("damage", ["garbage", "step\n1\n", "step,true_return,seconds\n1,x,1\n"])
    def test_a_damaged_curve_is_one_line(self, job: Any, damage: str, monkeypatch: pytest.MonkeyPatch):
        cut = job()
        _cut_off(cut, monkeypatch, at=2)
        (cut.directory / "curve.csv").write_text("step,true_return\n" + damage if damage == "garbage" else damage)
        with pytest.raises(StorageError, match=r"curve\.csv: damaged; without .* the policy is trained again"):
            train_policy(cut)


class TestTogether:
    def test_each_is_what_it_would_be_alone(self, job: Any):
        """One stops early, one is paid something else; a curve has the times of its own training."""

        def jobs(name: str) -> list[PolicyTraining]:
            return [
                job(f"{name}/0"), job(f"{name}/1", seed=4, reward=-1.0), job(f"{name}/2", seed=5, stop_below=1e9),
                job(f"{name}/3", seed=6, checkpoint="true_reward"),
            ]  # fmt: skip

        together, alone = jobs("together"), jobs("alone")
        train_policy(*together)
        for each in alone:
            train_policy(each)
        for one, other in zip(together, alone, strict=True):
            assert returns(one) == returns(other)
            assert NetworkPolicy.load(one.directory).fingerprint == NetworkPolicy.load(other.directory).fingerprint
            assert NetworkPolicy.load(one.directory).card == NetworkPolicy.load(other.directory).card
        assert [len(returns(one)) for one in together] == [4, 4, 1, 4]

    def test_of_different_kinds(self, job: Any, tiny_ppo: Any):
        """They are no batch, and are trained in turn."""
        one, other = job("one"), job("other", agent=tiny_ppo(n_envs=4), chunks=2)
        train_policy(one, other)
        assert [row["step"] for row in curve(one)] == [32, 64, 96, 128]
        assert [row["step"] for row in curve(other)] == [64, 128]

    def test_in_two_processes(self, job: Any):
        alone, apart = [[job(f"{name}/{k}", seed=k) for k in range(3)] for name in ("alone", "apart")]
        train_policy(*alone)
        with workers(2) as two:
            train_policies(apart, two)
        assert [returns(each) for each in apart] == [returns(each) for each in alone]

    @pytest.mark.parametrize("at", [1, 4, 5])
    def test_after_a_kill_they_catch_up_with_each_other(self, job: Any, at: int, monkeypatch: pytest.MonkeyPatch):
        """Some have a checkpoint of the chunk in which they were killed, and some have not."""
        whole, cut = [[job(f"{name}/{k}", seed=k) for k in range(3)] for name in ("whole", "cut")]
        train_policy(*whole)
        _cut_off(cut, monkeypatch, at)
        train_policy(*cut)
        assert [returns(each) for each in cut] == [returns(each) for each in whole]
        for one, other in zip(cut, whole, strict=True):
            assert NetworkPolicy.load(one.directory).fingerprint == NetworkPolicy.load(other.directory).fingerprint

    def test_one_that_fails_is_named_and_the_others_are_kept(self, job: Any):
        good, bad = job("good", chunks=1), job("bad", chunks=1, reward=float("nan"), seed=7, replicate=2)
        with pytest.raises(TrainingError, match=r"replicate 2 \(seed 7\) after 128 steps: .* not finite; a smaller"):
            train_policy(bad, good)
        assert not (bad.directory / "card.json").exists()
        assert len(returns(good)) == 1
        train_policy(good)  # from its checkpoint
        assert len(returns(good)) == 1


@pytest.mark.skipif(importlib.util.find_spec("envpool") is None, reason="needs envpool")
def test_in_envpool_s_environments_it_resumes_too(job: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, cut, other = job("whole", vector="envpool"), job("cut", vector="envpool"), job("other")
    train_policy(whole, other)
    _cut_off(cut, monkeypatch, at=2)
    train_policy(cut)
    assert returns(cut) == returns(whole) != returns(other)


class TestInParts:
    def test_parts_make_the_whole(self, job: Any):
        whole, parts = job("whole"), job("parts")
        train_policy(whole)
        for until in (1, 3, None):
            train_policy(parts, until=until)
        assert returns(parts) == returns(whole)
        assert NetworkPolicy.load(parts.directory).fingerprint == NetworkPolicy.load(whole.directory).fingerprint

    def test_it_rests_where_it_is_told_to(self, job: Any):
        done = job()
        for _ in range(2):  # the second does nothing
            train_policy(done, until=2)
            assert [row["step"] for row in curve(done)] == [32, 64]
            assert not (done.directory / "card.json").exists()
        assert policy_after(done.directory, 2).card["steps"] == 64
        with pytest.raises(StorageError, match="no policy there"):
            policy_after(done.directory, 3)

    def test_the_policy_in_between_stays(self, job: Any):
        """It acts as the curve says, also when the training has gone on and has ended."""
        done, address = job(), (3, "training curve", 64)
        for until in (2, 3, 4):
            train_policy(done, until=until)
            policy = policy_after(done.directory, 2)
            assert true_returns(done.environment, policy, address, 6, Workers(1)).mean() == returns(done)[1]
        assert policy_after(done.directory, 4).fingerprint == NetworkPolicy.load(done.directory).fingerprint

    def test_one_that_has_stopped_keeps_its_policy(self, job: Any):
        stopped, other = job("stopped", stop_below=1e9), job("other")
        train_policy(stopped, other, until=2)
        train_policy(stopped, other, until=3)
        assert policy_after(stopped.directory, 3).card["steps"] == 32
        assert policy_after(other.directory, 3).card["steps"] == 96

    def test_another_reward_goes_on_with_the_same_policy(self, job: Any, monkeypatch: pytest.MonkeyPatch):
        """Policy, optimizer and scale of rewards are those that the first part left."""
        first = job(agent=replace(job().agent, normalize_reward=True))
        second = replace(first, reward=-1.0)
        seen: list[tuple[list[Any], list[Learner], list[list[Learner]]]] = []
        inner = BatchedPPO.train

        def recorded(self: BatchedPPO, envs: Any, rewards: Any, seeds: Any, learners: Any, chunk: int) -> Any:
            after = inner(self, envs, rewards, seeds, learners, chunk)
            seen.append((rewards, learners, after))
            return after

        monkeypatch.setattr(BatchedPPO, "train", recorded)
        train_policy(first, until=2)
        train_policy(second)
        assert [getattr(rewards[0], "value", "true") for rewards, _, _ in seen] == ["true", "true", -1, -1]
        (_, _, ((before,),)), (_, (after,), _) = seen[1], seen[2]
        for name, value in before.state().items():
            found = after.state()[name]
            assert found.equal(value) if isinstance(value, torch.Tensor) else found == value
        assert after.returns.count > 60


class TestLearnedRewards:
    @pytest.fixture
    def learned(
        self, job: Any, counter: Any, make_model: Any, paid: Any, tmp_path: Path
    ) -> Callable[..., PolicyTraining]:
        """In a counter with a third feature, that of the absorbing state; two replicates of the model."""
        model = make_model(
            [[0.0, 0.0, 0.0, 1.0, 0.0], [0.0, 0.0, 0.0, 0.0, 5.0]], [0.1, 0.1], q=[[[0.0] * 2] * 3] * 2, replicates=2
        )
        save_reward_model(tmp_path / "run" / "reward_model", model.tensors(), model.description)
        environment = counter(limit=8, fixed_horizon=True)
        settings = {"environment": environment, "model": tmp_path / "run", "replicate": 1}
        return lambda name="policy", **changes: job(name, **{**settings, "reward": paid(), **changes})

    def acts(self, job: PolicyTraining) -> set[int]:
        states = np.array([[n, k, 0] for n in (0.2, 0.8) for k in range(8)], dtype=np.float32)
        return set(NetworkPolicy.load(job.directory).act(states).tolist())

    def test_the_policy_follows_what_is_paid(self, learned: Any, tiny_ppo: Any, paid: Any):
        """The members' mean prefers action 1; a pessimist prefers 0, about which they hardly disagree."""
        ppo = tiny_ppo(total_steps=1024, learning_rate=3e-2)
        train_policy(mean := learned("mean", agent=ppo, chunks=1))
        train_policy(low := learned("low", agent=ppo, chunks=1, reward=paid(reward="lower_bound", kappa=2.0)))
        assert self.acts(mean) == {1}
        assert self.acts(low) == {0}

    def test_it_begins_like_the_demonstrators_once(self, learned: Any, monkeypatch: pytest.MonkeyPatch):
        seen = []

        def imitate(
            self: BatchedPPO, learner: Learner, seed: int, state: torch.Tensor, probabilities: torch.Tensor, own: None
        ) -> Learner:
            seen.append((state, probabilities))
            return learner

        monkeypatch.setattr(BatchedPPO, "imitate", imitate)
        states = np.arange(12, dtype=np.float32).reshape(4, 3)
        cut = learned(warm_states=states)
        _cut_off(cut, monkeypatch, at=2)
        ((found, probabilities),) = seen
        assert found.numpy().tolist() == states.tolist()
        assert probabilities.tolist() == [[pytest.approx(0.5)] * 2] * 4
        train_policy(cut)
        assert len(seen) == 1  # what goes on has begun already
        train_policy(learned("cold"))
        assert len(seen) == 1

    def test_replicates_have_rewards_of_their_own(self, learned: Any, paid: Any, tiny_ppo: Any, tmp_path: Path):
        path = tmp_path / "run" / "reward_model"
        model = StepRewardModel.load(path)
        tensors = model.tensors()
        tensors["encoder.layers.1.weight"][:2, :, 0] *= -1  # of the first replicate
        save_reward_model(path, tensors, model.description)
        ppo = tiny_ppo(total_steps=1024, learning_rate=3e-2)
        for replicate, action in ((0, 0), (1, 1)):
            train_policy(done := learned(str(replicate), agent=ppo, chunks=1, replicate=replicate))
            assert self.acts(done) == {action}
