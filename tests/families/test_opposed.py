"""Two teachers who want different things of the same candidates, in every environment that has such teachers."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mavrl.actions import NumberedActions
from mavrl.configuration.check import check
from mavrl.configuration.settings import RunSettings
from mavrl.errors import ConfigurationError
from mavrl.evaluation.returns import policy_of, value_at_start
from mavrl.families.base import Family, family_of
from mavrl.families.control.family import Control
from mavrl.families.grid.family import Grid
from mavrl.feedback.combined import CombinedDataModule
from mavrl.model.step_reward import StepRewardModel
from mavrl.policies.base import UniformPolicy
from mavrl.policies.network import NetworkPolicy
from mavrl.storage.checkpoints import Checkpoints
from mavrl.training.building import build_data, build_learner
from mavrl.training.fitting import fit, store
from mavrl.types import segment_mean
from mavrl.workers import Workers

SMALL = (
    "experiment=opposed", "replicates=1", "members=1", "model.hidden_sizes=[4]", "evaluation.episodes=6",
    "feedback.preference.n_samples=24", "feedback.rating.n_samples=24", "env.feedback.n_episodes=16",
    "env.feedback.segment_len=4", "paths.cache=null", "paths.experts=/nowhere",
)  # fmt: skip
PPO = (
    "policy.total_steps=64", "policy.n_envs=2", "policy.n_steps=16", "policy.batch_size=16",
    "policy.hidden_sizes=[4]", "policy.parts=1", "policy.evaluation_episodes=2",
)  # fmt: skip
LEFT = ("env=cartpole_v1_left", *SMALL, *PPO)
PAIRS = {
    "grid": ("grid_two_goals_first", "grid_two_goals_second"),
    "cartpole": ("cartpole_v1_left", "cartpole_v1_right"),
    "lander": ("mo_lunar_lander_v3_fuel", "mo_lunar_lander_v3_speed"),
    "highway": ("highway_v0_fast", "highway_v0_gentle"),
}
NEEDS = {"lander": "mo_gymnasium", "highway": "highway_env"}


def family(composed: Any, *words: str) -> Family:
    config = composed(*words)
    check(config, {})
    return family_of(RunSettings.from_config(config), Workers(1))


def feedback(made: Family) -> CombinedDataModule:
    data = build_data(made.settings, made)
    data.setup()
    return data


@pytest.mark.parametrize("pair", PAIRS)
def test_the_candidates_are_the_same_and_the_labels_differ(pair: str, composed: Any) -> None:
    if pair in NEEDS:
        pytest.importorskip(NEEDS[pair])
    size = ("env.feedback.segment_len=10", "env.feedback.n_episodes=64") if pair == "grid" else PPO
    one, other = (feedback(family(composed, f"env={env}", *SMALL, *size)).train_sets for env in PAIRS[pair])
    assert one.keys() == other.keys() == {"preference", "rating"}
    for kind in one:
        for name in ("state", "action", "next_state", "terminal", "valid"):
            assert getattr(one[kind].transitions, name).equal(getattr(other[kind].transitions, name)), name
        label, mine = next(iter(one[kind].labels.items()))
        assert not mine.equal(other[kind].labels[label])


def test_labels_follow_the_position_of_the_cart(composed: Any) -> None:
    """Mean rewards of 2.5 - 10 x and 2.5 + 10 x, by hand; a clear preference is nearly always as it should be."""
    for env, sign in zip(PAIRS["cartpole"], (-1.0, 1.0), strict=True):
        more = ("feedback.preference.n_samples=200", "env.feedback.n_episodes=64", "modality=p")
        pairs = feedback(family(composed, f"env={env}", *SMALL, *PPO, *more)).train_sets["preference"]
        steps = pairs.transitions
        alive = 1 - steps.state[..., -1]  # nothing is paid after the end
        reward = alive * (2.5 + sign * 10 * steps.next_state[..., 0].clamp(-0.5, 0.5))
        mean = segment_mean(reward, steps.valid)
        odds = 5 * (mean[..., 0] - mean[..., 1])
        clear = odds.abs() > 4
        assert clear.sum() >= 10
        assert (pairs.first_preferred == (odds > 0))[clear].float().mean() > 0.9


def test_a_grid_s_reward_is_the_weighted_sum_of_its_goals(composed: Any) -> None:
    first, second = (family(composed, f"env={env}", *SMALL) for env in PAIRS["grid"])
    assert isinstance(first, Grid)
    assert isinstance(second, Grid)
    reward = first.problem.reward.view(6, 6)
    assert reward[:2, 4:].eq(1).all()
    assert reward[4:, :2].eq(-1).all()
    assert reward.abs().sum() == 8
    assert second.problem.reward.equal(-first.problem.reward)
    assert not first.problem.terminal_states.any()
    wanted = policy_of(first.problem, first.problem.reward)
    # Four steps to the block, the first cell of which pays 0.95^4, and 1 a step from then on.
    assert float(value_at_start(first.problem, wanted)) == pytest.approx(0.95**4 / 0.05)
    assert float(value_at_start(second.problem, wanted)) == pytest.approx(-(0.95**4) / 0.05)
    assert first.simulation != second.simulation


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("env=grid_two_goals", "+env.teacher_reward.third=1"), r"env\.teacher_reward\.third=1: .*parts first, second"),
        (("env=grid_trap", "+env.teacher_reward.first=1"), r"env\.teacher_reward\.first=1: layout trap has no parts"),
        (("env=grid_two_goals", "env.max_steps=null"), r"env\.max_steps=null: .*no episode ends"),
        (("env=grid_two_goals", "env.teacher_reward=[1]"), r"env\.teacher_reward=\[1\]: must map"),
        ((*LEFT, "env.teacher_reward=[{observation:4,weight:1}]"), r"env\.teacher_reward\[0\]\.observation=4: .* 4,"),
        ((*LEFT, "modality=ps"), r"env\.behaviour_expert=uniform: has no Q.*without s"),
        ((*LEFT, "modality=pd"), r"env\.demonstration_expert=null: .*without d"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused(words: tuple[str, ...], message: str, composed: Any) -> None:
    with pytest.raises(ConfigurationError, match=message):
        family(composed, *words)


class TestNobodyElse:
    def test_a_random_walk_needs_no_expert_and_has_no_regret(self, composed: Any):
        made = family(composed, *LEFT)
        assert isinstance(made, Control)
        assert made.behaviour_expert == UniformPolicy(NumberedActions(2))
        assert made.demonstration_expert is None
        known = made.simulator.segments([(0, "rating", "train")], _walk(), 64, 400, 4, 1)
        assert known.regret.isnan().all()
        share = known.transitions.action[known.transitions.valid].double().mean()
        assert 0.4 < float(share) < 0.6

    def test_without_a_demonstrator_there_is_no_regret_and_no_scale(
        self, composed: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ):
        made, found = _run(composed, tmp_path, *LEFT)
        assert {"mean_return", "spearman"} <= found.keys()
        assert not {"regret", "normalized_return"} & found.keys()
        assert made.comparison() == {}
        assert "env.normalization.optimal is null; task=normalize measures it" in caplog.text
        figure = made.figures(tmp_path, {"mean": {"mean_return": 1.0}, "final": {"mean_return": [1.0]}})["training"]()
        assert figure is not None
        assert "expert" not in [text.get_text() for text in figure.axes[0].get_legend().get_texts()]

    def test_a_scale_that_is_given_is_enough(self, composed: Any, tmp_path: Path):
        scale = ("env.normalization.optimal=100", "env.normalization.uniform=0")
        made, found = _run(composed, tmp_path, *LEFT, *scale)
        assert float(found["normalized_return"][0]) == pytest.approx(float(found["mean_return"][0]))
        assert "regret" not in found
        assert made.comparison() == {"uniform": pytest.approx(0)}

    def test_what_counts_as_optimal_is_measured_by_ppo_on_the_true_reward(self, composed: Any):
        measured = family(composed, *LEFT).normalization()
        assert measured.returns.keys() == {"optimal", "uniform", "positive", "negative"}
        assert "optimal is PPO on the true reward; trained policies over" in measured.how
        assert measured.environment["teacher_reward"][1] == {"observation": 0, "weight": -10.0, "clip": [-0.5, 0.5]}
        assert measured.environment["fixed_horizon"] is True

    def test_constants_are_those_of_a_teacher(self, composed: Any, changed: Any):
        there = family(composed, *LEFT).normalization().environment
        constants = {**there, "optimal": 400.0, "uniform": 1.0}
        left = changed(composed(*LEFT), {"env.constants": constants})
        check(left, {})
        assert (left.env.normalization.optimal, left.env.normalization.uniform) == (400.0, 1.0)
        right = changed(composed("env=cartpole_v1_right", *SMALL, *PPO), {"env.constants": constants})
        assert right.env.normalization.optimal is None


class TestBaselines:
    @pytest.mark.parametrize(("reward", "paid"), [("true_reward", "true"), ("positive", 1.0), ("negative", -1.0)])
    def test_a_policy_that_is_paid_nothing_learned(self, reward: str, paid: Any, composed: Any, tmp_path: Path):
        made, found = _run(composed, tmp_path, *LEFT, f"policy.reward={reward}", "trainer.max_epochs=0")
        training = made.acting.training(tmp_path, 0, np.zeros((3, 5)))
        assert training.reward == paid
        assert training.model is training.warm_states is None
        assert made.protocol() == {"policy": "ppo", "reward": reward, "checkpoint": "last"}
        assert "mean_return" in found

    def test_the_prior_alone_is_a_model_without_a_step_of_training(self, composed: Any, tmp_path: Path):
        made = family(composed, *LEFT, "trainer.max_epochs=0")
        data = feedback(made)
        learner = build_learner(made.settings, made, data)
        before = {name: tensor.clone() for name, tensor in learner.state_dict().items()}
        fit(made.settings, learner, data, Checkpoints(tmp_path / "checkpoints"), tmp_path)
        for name, tensor in learner.state_dict().items():
            assert tensor.nan_to_num().equal(before[name].nan_to_num()), name
        assert store(made.settings, made, learner, data, tmp_path) == []
        made.act(tmp_path, data)
        assert made.judge(tmp_path)["mean_return"].isfinite().all()

    def test_an_expert_of_another_teacher_is_refused(self, composed: Any, changed: Any, tmp_path: Path):
        """A card that says nothing of a teacher is that of the environment's own reward."""
        place = tmp_path / "cartpole_v1_left" / "dqn"
        NetworkPolicy.from_layers([(torch.ones(2, 4), torch.zeros(2))], "relu", "q", {"id": "CartPole-v1"}).save(place)
        values = {"paths.experts": str(tmp_path), "env.behaviour_expert": "dqn"}
        config = changed(composed(*LEFT), values)
        made = family_of(RunSettings.from_config(config), Workers(1))
        assert isinstance(made, Control)
        with pytest.raises(ConfigurationError, match=r"trained with env\.teacher_reward=\[\]"):
            _ = made.behaviour_expert
        own = family_of(RunSettings.from_config(changed(config, {"env.teacher_reward": None})), Workers(1))
        assert isinstance(own, Control)
        assert isinstance(own.behaviour_expert, NetworkPolicy)


def _walk() -> Any:
    from mavrl.simulation.base import Behaviour

    return Behaviour(5.0)


def _run(composed: Any, directory: Path, *words: str) -> tuple[Control, dict[str, torch.Tensor]]:
    made = family(composed, *words)
    assert isinstance(made, Control)
    data = feedback(made)
    store(made.settings, made, build_learner(made.settings, made, data), data, directory)
    assert len(StepRewardModel.load(directory)) == 1
    made.act(directory, data)
    return made, made.judge(directory)
