"""What an agent is paid, against sums done by hand."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from mavrl.agents.rewards import (
    ConstantReward,
    LearnedRewardSettings,
    LearnedStepReward,
    Rollout,
    StepReward,
    TrueReward,
)
from mavrl.model.step_reward import StepRewardModel

MakeModel = Callable[..., StepRewardModel]
Paid = Callable[..., LearnedRewardSettings]

# Two members: three features and two actions are worth this much each.
MEAN = [[1.0, 2.0, 3.0, 0.0, 10.0], [3.0, 0.0, 3.0, 2.0, 6.0]]
STD = [0.5, 1.5]
Q = [[[1.0, 0.0], [0.0, 2.0], [0.0, 8.0]], [[3.0, 0.0], [0.0, 0.0], [0.0, 8.0]]]

# Three transitions, and the mean reward of each under the two members.
STATES = np.array([[1, 0, 0], [0, 2, 0], [1, 1, 1]], dtype=np.float32)
ACTIONS = np.array([0, 1, 0])
FIRST, SECOND = np.array([1.0, 14.0, 6.0]), np.array([5.0, 6.0, 8.0])
MIDDLE, SPREAD = (FIRST + SECOND) / 2, abs(FIRST - SECOND) / 2


def asked(reward: StepReward, terminated: Any = False, states: Any = STATES, actions: Any = ACTIONS) -> np.ndarray:
    ends = np.broadcast_to(terminated, len(actions))
    return reward(states, np.asarray(actions), states, ends, np.zeros(len(actions)))


@pytest.fixture
def learned(make_model: MakeModel, paid: Paid) -> Callable[..., LearnedStepReward]:
    """The learned reward of a model, both described by what is unusual about them."""

    def make(settings: LearnedRewardSettings | None = None, seed: int = 0, **model: Any) -> LearnedStepReward:
        return LearnedStepReward(make_model(MEAN, STD, **model), settings or paid(), seed)

    return make


class TestMoments:
    def test_the_mean_of_the_members(self, learned: Any):
        assert asked(learned()) == pytest.approx(MIDDLE)

    @pytest.mark.parametrize("kappa", [0.0, 0.5, 2.0])
    def test_the_lower_bound(self, learned: Any, paid: Paid, kappa: float):
        found = asked(learned(paid(reward="lower_bound", kappa=kappa)))
        assert found == pytest.approx(MIDDLE - kappa * SPREAD)

    def test_a_single_member_disagrees_with_nobody(self, make_model: MakeModel, paid: Paid):
        reward = LearnedStepReward(make_model(MEAN[:1], STD[:1]), paid(reward="lower_bound", kappa=7.0), 0)
        assert asked(reward) == pytest.approx(FIRST)

    def test_each_member_is_standardized_by_itself(self, learned: Any, paid: Paid):
        settings = paid(reward="lower_bound", kappa=2.0, standardize=True)
        found = asked(learned(settings, on_feedback=([2.0, -1.0], [0.5, 3.0])))
        first, second = (FIRST - 2) / 0.5, (SECOND + 1) / 3
        assert found == pytest.approx((first + second) / 2 - abs(first - second), rel=1e-5)

    def test_without_it_the_feedback_does_not_matter(self, learned: Any):
        assert asked(learned(on_feedback=([2.0, -1.0], [0.5, 3.0]))) == pytest.approx(MIDDLE)

    def test_what_is_clipped(self, learned: Any, paid: Paid):
        assert asked(learned(paid(clip=8.0))) == pytest.approx([3.0, 8.0, 7.0])
        assert asked(learned(paid(clip=8.0, reward="lower_bound", kappa=4.0))) == pytest.approx([-5.0, -6.0, 3.0])
        assert asked(learned(paid(clip=1.0, reward="lower_bound", kappa=4.0))) == pytest.approx([-1.0, -1.0, 1.0])

    def test_the_members_themselves_are_not_clipped(self, learned: Any, paid: Paid):
        """Their mean of 10 is clipped, not the 14 and the 6 that it is the mean of."""
        assert asked(learned(paid(clip=9.5)))[1] == pytest.approx(9.5)

    def test_one_replicate_only(self, make_model: MakeModel, paid: Paid):
        model = make_model(MEAN, STD, replicates=3)
        with pytest.raises(ValueError, match=r"3 replicates; choose one with model\[k\]"):
            LearnedStepReward(model, paid(), 0)
        assert asked(LearnedStepReward(model[2], paid(), 0)) == pytest.approx(MIDDLE)


class TestTermination:
    @pytest.mark.parametrize("prior", [-1.0, 1.0])
    def test_every_step_is_paid_what_a_step_after_the_end_is_worth_less(self, learned: Any, paid: Paid, prior: float):
        reward = learned(paid(clip=4.0, termination_weight=1.0), at_termination=prior)
        expected = np.clip(MIDDLE, -4, 4) - prior * 4
        for ends in (False, True, [False, True, False]):
            assert asked(reward, ends) == pytest.approx(expected)

    @pytest.mark.parametrize("prior", [-1.0, 1.0])
    def test_with_a_weight_above_1_an_end_is_worse_or_better_than_any_reward(
        self, learned: Any, paid: Paid, prior: float
    ):
        """An agent is paid 0 after the end, so a success is better than going on if all rewards are below that."""
        for weight in (1.1, 2.0):
            found = asked(learned(paid(clip=4.0, termination_weight=weight), at_termination=prior))
            assert (-prior * found > 0).all()

    def test_times_its_weight(self, learned: Any, paid: Paid):
        for weight in (0.0, 0.5, 2.0):
            reward = learned(paid(clip=20.0, termination_weight=weight), at_termination=-1.0)
            assert asked(reward, True) == pytest.approx(MIDDLE + weight * 20)

    def test_a_neutral_end_is_worth_nothing(self, learned: Any, paid: Paid):
        assert asked(learned(paid(termination_weight=2.0), at_termination=0.0), True) == pytest.approx(MIDDLE)

    def test_what_feedback_told_of_an_end_is_paid(self, learned: Any):
        found = asked(learned(end=[2.0, 5.0]), [False, True, False])
        assert found == pytest.approx(MIDDLE + np.array([0, 3.5, 0]))


class TestDemonstrators:
    def test_the_advantage_of_each_action(self, make_model: MakeModel, paid: Paid):
        model = make_model(MEAN[:1], STD[:1], q=Q[:1], rationality=2.0)
        reward = LearnedStepReward(model, paid(reference_weight=0.3), 0)
        # In the second state Q is 0 and 4; in units of 1 / rationality they are 8 apart.
        p = 1 / (1 + np.exp(-8.0))
        expected = p * np.log(p) + (1 - p) * np.log(1 - p)
        states = STATES[[1, 1]]
        bare = np.array([4.0, 14.0])
        found = asked(reward, states=states, actions=[0, 1])
        assert found[1] == pytest.approx(bare[1] + 0.3 * (np.log(p) - expected), rel=1e-5)
        assert np.log(1 - p) - expected < -5
        assert found[0] == pytest.approx(bare[0] + 0.3 * -5, rel=1e-5)  # the floor

    def test_it_is_zero_on_average_for_one_who_acts_like_them(self, learned: Any, paid: Paid):
        guided, plain = (learned(paid(reference_weight=w), q=Q, rationality=0.5) for w in (0.7, 0.0))
        log_policy = self._log_policy(0.5)
        bonus = np.stack([asked(guided, actions=[a] * 3) - asked(plain, actions=[a] * 3) for a in (0, 1)], axis=-1)
        assert (abs(bonus) > 0.01).any()
        assert bonus == pytest.approx(0.7 * (log_policy - (np.exp(log_policy) * log_policy).sum(-1)[:, None]), abs=1e-5)
        assert (np.exp(log_policy) * bonus).sum(-1) == pytest.approx(np.zeros(3), abs=1e-5)

    @staticmethod
    def _log_policy(rationality: float) -> np.ndarray:
        """Log of the members' mean probability of each action."""
        q = np.einsum("no,moa->mna", STATES, np.array(Q)) * rationality
        probabilities = np.exp(q) / np.exp(q).sum(-1, keepdims=True)
        return np.log(probabilities.mean(0))

    def test_it_is_added_after_clipping(self, learned: Any, paid: Paid):
        settings = paid(reference_weight=1.0, clip=0.1)
        bonus = asked(learned(settings, q=Q)) - 0.1
        log_policy = self._log_policy(1.0)
        expected = log_policy[np.arange(3), ACTIONS] - (np.exp(log_policy) * log_policy).sum(-1)
        assert bonus == pytest.approx(np.maximum(expected, -5), abs=1e-5)

    @pytest.mark.parametrize(("weight", "q"), [(0.0, Q), (0.3, None)])
    def test_none_without_weight_or_demonstrations(self, learned: Any, paid: Paid, weight: float, q: Any):
        assert asked(learned(paid(reference_weight=weight), q=q)) == pytest.approx(MIDDLE)


class TestSamples:
    N = 20_000

    def many(self, reward: StepReward, state: Any = STATES[1], action: int = 1) -> np.ndarray:
        """One transition in many environments: the members' means are 14 and 6."""
        return asked(reward, states=np.repeat(state[None], self.N, axis=0), actions=[action] * self.N)

    @pytest.mark.parametrize("per", ["step", "episode"])
    def test_they_are_those_of_the_mixture(self, learned: Any, paid: Paid, per: str):
        reward = learned(paid(reward="sample", sample_per=per))
        reward.begin(np.ones(self.N, dtype=bool))
        found = self.many(reward)
        assert found.mean() == pytest.approx(10, abs=0.15)
        assert found.var() == pytest.approx(4**2 + (0.5**2 + 1.5**2) / 2, rel=0.03)
        narrow, wide = found[found > 12], found[found < 8]
        assert len(narrow) == pytest.approx(self.N / 2, rel=0.15)
        assert narrow.std() == pytest.approx(0.5, rel=0.05)
        assert wide.std() == pytest.approx(1.5, rel=0.25)  # cut at 8

    def test_standardized_ones(self, learned: Any, paid: Paid):
        settings = paid(reward="sample", standardize=True)
        found = self.many(learned(settings, on_feedback=([14.0, 6.0], [0.5, 1.5])))
        assert found.mean() == pytest.approx(0, abs=0.03)
        assert found.std() == pytest.approx(1, rel=0.02)

    def test_each_step_draws_anew(self, learned: Any, paid: Paid):
        reward = learned(paid(reward="sample", sample_per="step"))
        reward.begin(np.ones(3, dtype=bool))
        first, second = asked(reward), asked(reward)
        assert (first != second).all()

    def test_an_episode_keeps_its_function_until_it_ends(self, learned: Any, paid: Paid):
        reward = learned(paid(reward="sample", sample_per="episode"))
        reward.begin(np.ones(3, dtype=bool))
        first = asked(reward)
        assert np.array_equal(asked(reward), first)
        reward.begin(np.array([False, True, False]))
        after = asked(reward)
        assert (after == first).tolist() == [True, False, True]
        assert np.array_equal(asked(reward), after)

    def test_an_episode_s_function_is_a_member_s_all_as_far_off_its_mean(self, learned: Any, paid: Paid):
        reward = learned(paid(reward="sample", sample_per="episode"))
        n = 200
        reward.begin(np.ones(n, dtype=bool))
        steps = zip(STATES, ACTIONS, strict=True)
        found = np.stack([asked(reward, states=np.repeat(s[None], n, axis=0), actions=[a] * n) for s, a in steps])
        deviation = [(found - mean[:, None]) / std for mean, std in zip((FIRST, SECOND), STD, strict=True)]
        of_a_member = [np.ptp(d, axis=0) < 1e-4 for d in deviation]
        assert (of_a_member[0] != of_a_member[1]).all()
        assert 60 < of_a_member[0].sum() < 140
        chosen = np.where(of_a_member[0], deviation[0][0], deviation[1][0])
        assert abs(chosen.mean()) < 0.25
        assert chosen.std() == pytest.approx(1, abs=0.2)

    def test_episodes_differ_between_environments_and_in_time(self, learned: Any, paid: Paid):
        reward = learned(paid(reward="sample", sample_per="episode"))
        seen = set()
        for _ in range(20):
            reward.begin(np.ones(3, dtype=bool))
            seen |= set(asked(reward, states=STATES[[0, 0, 0]], actions=[0, 0, 0]).tolist())
        assert len(seen) == 60

    @pytest.mark.parametrize("per", ["step", "episode"])
    def test_a_seed_is_a_sequence_of_samples(self, learned: Any, paid: Paid, per: str):
        def sequence(seed: int) -> np.ndarray:
            reward = learned(paid(reward="sample", sample_per=per), seed)
            rows = []
            for _ in range(3):
                reward.begin(np.ones(3, dtype=bool))
                rows.append(asked(reward))
            return np.array(rows)

        assert np.array_equal(sequence(1), sequence(1))
        assert (sequence(1) != sequence(2)).all()

    def test_seeding_makes_what_follows_independent_of_what_was(self, learned: Any, paid: Paid):
        def after(steps: int, seed: int) -> np.ndarray:
            reward = learned(paid(reward="sample"))
            for _ in range(steps):
                asked(reward)
            reward.seed(seed)
            return asked(reward)

        assert np.array_equal(after(0, 5), after(3, 5))
        assert (after(0, 5) != after(0, 6)).all()

    def test_they_leave_the_global_generators_alone(self, learned: Any, paid: Paid):
        before = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
        reward = learned(paid(reward="sample"))
        reward.begin(np.ones(3, dtype=bool))
        asked(reward)
        assert torch.equal(torch.get_rng_state(), before[0])
        assert np.array_equal(np.random.get_state()[1], before[1])  # noqa: NPY002


def test_the_next_state_matters_where_the_reward_depends_on_it(make_model: MakeModel, paid: Paid) -> None:
    def difference(model: StepRewardModel) -> np.ndarray:
        reward = LearnedStepReward(model, paid(), 0)
        following = STATES + np.array([0, 0, 1], dtype=np.float32)
        ends = np.zeros(3, dtype=bool)
        return reward(STATES, ACTIONS, following, ends, np.zeros(3)) - reward(
            STATES, ACTIONS, STATES, ends, np.zeros(3)
        )

    assert difference(make_model(MEAN, STD)).tolist() == [0, 0, 0]
    of_next = [[*MEAN[0], 0.0, 0.0, 5.0], [*MEAN[1], 0.0, 0.0, 7.0]]
    assert difference(make_model(of_next, STD, domain="sas")) == pytest.approx([6, 6, 6])


@pytest.mark.parametrize("change", [{}, {"reward": "lower_bound", "kappa": 1.0}, {"reference_weight": 0.5}])
def test_observations_of_any_float(learned: Any, paid: Paid, change: dict[str, Any]) -> None:
    """Environments of float64 exist, and Stable-Baselines3 gives actions of several kinds."""
    reward = learned(replace(paid(), **change), q=Q)
    expected = asked(reward)
    assert asked(reward, states=STATES.astype(np.float64)) == pytest.approx(expected)
    assert asked(reward, actions=ACTIONS.astype(np.int32)) == pytest.approx(expected)


def test_rewards_that_are_not_learned() -> None:
    step = (STATES, ACTIONS, STATES, np.zeros(3, dtype=bool), np.array([3.0, -1.0, 0.5]))
    assert TrueReward()(*step).tolist() == [3.0, -1.0, 0.5]
    assert ConstantReward(-1.0)(*step).tolist() == [-1.0] * 3
    ConstantReward(1.0).begin(np.ones(3, dtype=bool))


class TestRollouts:
    @pytest.fixture
    def rollout(self) -> Rollout:
        """Four steps in three environments; an episode is cut off in the second one, another terminates."""
        stream = np.random.default_rng(5)
        state = stream.random((4, 3, 3)).astype(np.float32)
        over, terminated = np.zeros((2, 4, 3), dtype=bool)
        over[1, 0] = over[2, 2] = terminated[2, 2] = True
        action, true_reward = stream.integers(2, size=(4, 3)), stream.normal(size=(4, 3))
        return Rollout(state, action, np.roll(state, -1, axis=0), terminated, over, true_reward)

    @pytest.mark.parametrize(
        "change",
        [
            {"reward": "mean", "clip": 40.0, "termination_weight": 2.0},
            {"reward": "lower_bound", "kappa": 1.0, "clip": 8.0},
            {"reward": "mean", "reference_weight": 0.5},
            {"reward": "sample", "sample_per": "step"},
            {"reward": "sample", "sample_per": "episode"},
        ],
    )
    @pytest.mark.parametrize("part", [5, 512])
    def test_it_is_paid_like_its_steps(
        self, learned: Any, paid: Paid, rollout: Rollout, change: dict[str, Any], part: int, monkeypatch: Any
    ):
        monkeypatch.setattr(LearnedStepReward, "_PART", part)
        one, other = (learned(paid(**change), q=Q, at_termination=1.0) for _ in range(2))
        for reward in (one, other):
            reward.seed(3)
            reward.begin(np.ones(3, dtype=bool))
        for _ in range(2):  # the samples of the first go on in the second
            found = one.of_rollout(rollout)
            expected = StepReward.of_rollout(other, rollout)
            assert found.shape == (4, 3)
            assert found == pytest.approx(expected, rel=1e-5)
        assert len(set(found.ravel().tolist())) > 8

    def test_rewards_that_are_not_learned(self, rollout: Rollout):
        for reward in (TrueReward(), ConstantReward(-1.0)):
            assert np.array_equal(reward.of_rollout(rollout), StepReward.of_rollout(reward, rollout))
