"""What control environments do in their own way, on a small CartPole."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure

from mavrl.agents.imitation import DemonstratedPolicy
from mavrl.configuration.identity import environment
from mavrl.configuration.settings import RunSettings
from mavrl.envs.control import ControlEnvironment
from mavrl.errors import ConfigurationError
from mavrl.families.base import family_of
from mavrl.families.control import rules
from mavrl.families.control.acting import policy_directory
from mavrl.families.control.family import Control
from mavrl.families.control.judging import ControlJudging
from mavrl.families.control.learning import mean_and_deviation, standardization_of
from mavrl.families.control.settings import ControlSettings, NormalizationSettings
from mavrl.feedback.combined import CombinedDataModule
from mavrl.model.layers import Standardization
from mavrl.model.step_reward import StepRewardModel
from mavrl.policies.network import NetworkPolicy
from mavrl.training.building import build_data, build_learner
from mavrl.training.evaluation import evaluate
from mavrl.training.fitting import store
from mavrl.workers import Workers

SMALL = (
    "env=cartpole_v1", "env.max_steps=40", "replicates=2", "members=2", "model.hidden_sizes=[4]",
    "evaluation.episodes=6", "env.feedback.segment_len=5", "env.feedback.n_episodes=8",
    "feedback.preference.n_samples=3", "feedback.demonstration.n_samples=2", "feedback.rating.n_samples=4",
    "feedback.stop.n_samples=3", "policy.total_steps=64", "policy.n_envs=2", "policy.n_steps=16",
    "policy.batch_size=16", "policy.hidden_sizes=[4]",
)  # fmt: skip


@pytest.fixture
def make(composed: Any, changed: Any, tmp_path: Path) -> Callable[..., Control]:
    """An environment with other values than the small ones; its expert pushes the cart under the falling pole."""
    lean = torch.tensor([[0.0, 0.0, -1.0, -0.5], [0.0, 0.0, 1.0, 0.5]])
    expert = NetworkPolicy.from_layers([(3 * lean, torch.zeros(2))], "relu", "q")
    expert.save(tmp_path / "experts" / "cartpole_v1" / "dqn")
    places = {"paths.experts": str(tmp_path / "experts"), "paths.cache": str(tmp_path / "cache")}

    def build(*overrides: str, **values: Any) -> Control:
        config = changed(
            composed(*SMALL, *overrides), {**places, **{k.replace("__", "."): v for k, v in values.items()}}
        )
        family = family_of(RunSettings.from_config(config), Workers(1))
        assert isinstance(family, Control)
        return family

    return build


def _data(family: Control) -> CombinedDataModule:
    data = build_data(family.settings, family)
    data.setup()
    return data


def _stored(family: Control, directory: Path) -> tuple[StepRewardModel, CombinedDataModule]:
    """The reward model of an untrained learner."""
    data = _data(family)
    assert store(family.settings, family, build_learner(family.settings, family, data), data, directory) == []
    return StepRewardModel.load(directory), data


def _training(family: Control, directory: Path, result: Any) -> Figure:
    figure = family.figures(directory, result)["training"]()
    assert figure is not None
    return figure


def _environment(config: Any) -> ControlEnvironment:
    return ControlSettings.from_env(environment(config)).environment


class TestEnvironment:
    def test_settings_that_are_null_leave_gymnasium_s_dynamics(self, composed: Any):
        assert _environment(composed("env=cartpole_v1")) == ControlEnvironment("CartPole-v1")

    def test_those_that_are_given(self, composed: Any):
        overrides = ("env.perturbation.gravity=12", "env.fixed_horizon=true", "env.max_steps=77")
        described = _environment(composed("env=cartpole_v1", *overrides))
        assert described == ControlEnvironment("CartPole-v1", {}, 77, {"gravity": 12}, True)

    def test_wrappers(self, composed: Any):
        described = _environment(composed("env=cartpole_v1", "env.wrappers=[FlattenObservation]"))
        assert described == ControlEnvironment("CartPole-v1", wrappers=("FlattenObservation",))

    def test_one_that_cannot_be_made_is_refused_at_once(self, make: Any):
        with pytest.raises(ConfigurationError, match=r"env\.id=CartPol-v1"):
            make(env__id="CartPol-v1")


class TestFeedback:
    def test_both_sources_of_segments_and_demonstrations(self, make: Any):
        sets = _data(make()).train_sets
        assert sets["preference"].transitions.state.shape == (2, 3, 2, 5, 4)
        assert sets["rating"].transitions.state.shape == (2, 4, 5, 4)
        assert sets["demonstration"].transitions.state.shape[-1] == 4
        assert int(sets["demonstration"].transitions.valid.sum()) > 100  # the expert does not let it fall

    def test_the_cache_tells_environments_and_experts_apart(self, make: Any, tmp_path: Path):
        plain = make().simulation
        assert make(env__perturbation__gravity=12.0).simulation != plain
        assert make(env__wrappers=[{"StickyAction": {"repeat_action_probability": 0.1}}]).simulation != plain
        assert make(policy__kappa=1.0).simulation == plain
        other = NetworkPolicy.from_layers([(torch.ones(2, 4), torch.zeros(2))], "relu", "q")
        other.save(tmp_path / "experts" / "cartpole_v1" / "dqn")
        assert make().simulation != plain

    def test_the_cache_tells_versions_of_gymnasium_apart(self, make: Any, monkeypatch: pytest.MonkeyPatch):
        def keys() -> list[Path | None]:
            family = make()
            data = build_data(family.settings, family)
            return [module.asking.store.path(module.key(0, "train")) for module in data.modules.values()]

        before = keys()
        assert keys() == before
        monkeypatch.setattr(rules, "_version", lambda: "0.0")
        assert not set(keys()) & set(before)


def _standardization(family: Control, data: CombinedDataModule) -> Standardization:
    settings = family.settings
    return standardization_of(data, family.environment.observation_size, settings.members, settings.model.standardize)


class TestLearning:
    def test_observations_are_standardized_on_all_of_a_replicate_s_data(self, make: Any):
        family = make()
        data = _data(family)
        found = _standardization(family, data)
        assert found.mean.shape == (4, 1, 4)
        for replicate in range(2):
            steps = [batch.transitions for batch in data.train_sets.values()]
            states = torch.cat([part.state[replicate][part.valid[replicate]] for part in steps])
            for model in (2 * replicate, 2 * replicate + 1):
                assert found.mean[model, 0].numpy() == pytest.approx(states.mean(0).numpy(), abs=1e-5)
                assert found.std[model, 0].numpy() == pytest.approx(states.std(0, correction=0).numpy(), rel=1e-4)
        assert not found.mean[0].equal(found.mean[2])

    def test_or_not_at_all(self, make: Any):
        family = make(model__standardize=False)
        assert not _standardization(family, _data(family)).active

    def test_a_feature_that_never_changes(self, make: Any):
        """As that of the absorbing state in feedback that never gets there."""
        family = make(env__fixed_horizon=True)
        found = _standardization(family, _data(family))
        assert found.std.shape == (4, 1, 5)
        assert (found.std[..., -1] > 0).all()
        seen = found(torch.tensor([[[0.0], [1.0]]]).expand(1, 2, 5))[..., -1]  # before the end and after it
        assert seen.tolist() == [[0.0, Standardization.LARGEST]] * 4

    @pytest.mark.parametrize("unit", [1e-20, 1e-5, 1000.0, 1e25])
    def test_the_unit_of_a_feature_does_not_matter(self, unit: float):
        values, valid = torch.randn(2, 50, 3) + torch.tensor([0.0, 10.0, -3.0]), torch.rand(2, 50) < 0.8
        for power in (2.0**-60, 2.0**60):  # not a digit
            for one, other in zip(
                mean_and_deviation(power * values, valid), mean_and_deviation(values, valid), strict=True
            ):
                assert one.equal(power * other)
        for one, other in zip(mean_and_deviation(unit * values, valid), mean_and_deviation(values, valid), strict=True):
            assert torch.allclose(one / unit, other, rtol=1e-5)

    def test_deviations_are_those_of_the_plain_formula(self):
        """To the last bit, so that the numbers of ordinary environments are what they were."""
        values, valid = 3 * torch.randn(2, 1000, 4) + 1, torch.rand(2, 1000) < 0.5
        count = valid.sum(1)[:, None]
        mean = torch.where(valid[..., None], values, 0.0).sum(1) / count
        variance = torch.where(valid[..., None], (values - mean[:, None]).square(), 0.0).sum(1) / count
        found = mean_and_deviation(values, valid)
        assert found[0].equal(mean)
        assert found[1].equal(variance.sqrt())

    @pytest.mark.parametrize("constant", [0.0, 0.1, -9.8, 1e6, 1e-12])
    def test_a_constant_is_harmless_and_anything_else_is_far_from_it(self, constant: float):
        values = torch.full((1, 1000, 1), constant)
        mean, deviation = mean_and_deviation(values, torch.ones(1, 1000, dtype=torch.bool))
        standardization = Standardization(mean, deviation)
        seen = standardization(torch.tensor([[[constant], [1.1 * constant + 1e-15]]]))[0, :, 0]
        assert abs(float(seen[0])) < 0.5
        assert float(seen[1]) == (Standardization.LARGEST if constant >= 0 else -Standardization.LARGEST)

    def test_what_is_saved(self, make: Any, tmp_path: Path):
        model, data = _stored(make(), tmp_path / "run")
        description = model.description
        assert (description["n_features"], description["n_actions"], description["reward_domain"]) == (4, 2, "sa")
        assert description["reward_at_termination"] == -1  # the pole has fallen
        assert description["demonstration_rationality"] == 1
        assert model.at_termination == -1
        assert model.demonstrated
        rewards = []
        for batch in data.train_sets.values():
            part = batch.transitions
            state, action, following = (x[0][part.valid[0]] for x in (part.state, part.action, part.next_state))
            rewards.append(model[0].member_moments(state, action, following)[0][0])
        expected = torch.cat(rewards, dim=-1)
        mean, std = (values[0] for values in model.on_feedback())
        assert mean.detach().numpy() == pytest.approx(expected.mean(-1).detach().numpy(), abs=1e-5)
        assert std.detach().numpy() == pytest.approx(expected.std(-1, correction=0).detach().numpy(), rel=1e-3)

    def test_q_is_saved_where_feedback_reads_it(self, make: Any, tmp_path: Path):
        for modality, (reads, demonstrated) in {"pr": (False, False), "s": (True, False), "d": (True, True)}.items():
            free, _ = _stored(make(f"modality={modality}", model__q="learned"), tmp_path / modality)
            assert (free.q is not None, free.demonstrated) == (reads, demonstrated)
            implied, _ = _stored(make(f"modality={modality}"), tmp_path / f"{modality}-implied")
            assert (implied.q is not None, implied.demonstrated) == (True, demonstrated)  # the reward is made of it


class TestActing:
    def test_they_follow_the_configuration(self, make: Any, tmp_path: Path):
        family = make(seed=5, policy__reward="sample", policy__kappa=0.5, policy__stop_below=3.0)
        assert family.acting.training(tmp_path, 1).vector == "gymnasium"
        job = family.acting.training(tmp_path, 1)
        assert (job.seed, job.replicate, job.model) == (6, 1, tmp_path)
        assert job.directory == policy_directory(tmp_path, 1) == tmp_path / "policies" / "1"
        assert (job.reward.reward, job.reward.kappa, job.stop_below) == ("sample", 0.5, 3.0)
        assert job.agent.gamma == family.settings.policy["gamma"] == family.env.gamma
        assert job.agent is family.acting.policy.agent
        assert job.agent.total_steps == 64
        assert job.environment == family.environment

    def test_they_begin_with_the_demonstrators_where_there_are_some(self, make: Any):
        family = make()
        data = _data(family)
        for replicate in range(2):
            steps = [batch.transitions for batch in data.train_sets.values()]
            expected = np.concatenate([part.state[replicate][part.valid[replicate]].numpy() for part in steps])
            assert np.array_equal(family.acting.warm_states(data, replicate), expected)
        assert make(policy__warm_start=False).acting.warm_states(data, 0) is None
        without = make("modality=prs")
        assert without.acting.warm_states(_data(without), 0) is None

    def test_imitation_trains_none(self, make: Any, tmp_path: Path):
        family = _imitating(make)
        model, data = _stored(family, tmp_path / "run")
        family.act(tmp_path / "run", data)
        assert not (tmp_path / "run" / "policies").exists()
        assert isinstance(family.acting.acts(tmp_path / "run", model, 1), DemonstratedPolicy)


def _imitating(make: Any) -> Control:
    return make("modality=d", policy={"name": "imitation", "checkpoint": "last"})


class TestJudging:
    def test_regret_is_that_of_the_same_episodes(self, make: Any, tmp_path: Path):
        family = _imitating(make)
        model, _ = _stored(family, tmp_path / "run")
        found = family.judge(tmp_path / "run")
        expert = family.judging.expert_returns()
        for replicate in range(2):
            returns = family.judging.returns(family.acting.acts(tmp_path / "run", model, replicate))
            assert len(returns) == len(expert) == 6
            assert float(found["mean_return"][replicate]) == pytest.approx(returns.mean())
            assert float(found["regret"][replicate]) == pytest.approx((expert - returns).mean())
        assert found.keys() == {"normalized_return", "mean_return", "regret"}

    def test_constants_that_are_given(self, make: Any):
        family = make(env__normalization={"optimal": 30.0, "uniform": 10.0})
        assert (family.judging.optimal, family.judging.uniform) == (30.0, 10.0)

    def test_constants_that_are_measured(self, make: Any):
        family = make(env__normalization={"optimal": None, "uniform": None})
        expected = family.judging.expert_returns().mean(), family.judging.uniform_returns().mean()
        assert (family.judging.optimal, family.judging.uniform) == pytest.approx(expected)
        assert expected[0] == 40 > expected[1]
        comparison = family.comparison()
        assert comparison["expert"] == pytest.approx(100)
        assert comparison["uniform"] == pytest.approx(0)

    def test_baselines_that_are_known(self, make: Any):
        plain = {"optimal": 30.0, "uniform": 10.0}
        family = make(env__normalization=plain, env__baselines={"positive": 25.0, "negative": None})
        assert family.comparison() == {
            "expert": pytest.approx(150), "uniform": pytest.approx(0), "constant reward +1": pytest.approx(75)
        }  # fmt: skip

    def test_constants_are_of_an_environment(self, make: Any):
        """Here one with a limit of 40 steps; in any other they are measured, or left out."""
        mine = {"id": "CartPole-v1", "max_steps": 40, "optimal": 30.0, "uniform": 10.0, "positive": 25.0}
        family = make(env__constants=mine)
        assert (family.judging.optimal, family.judging.uniform) == (30.0, 10.0)
        assert family.comparison()["constant reward +1"] == pytest.approx(75)
        changes = (
            {"env__fixed_horizon": True}, {"env__perturbation__gravity": 12.0}, {"env__max_steps": 39},
            {"env__kwargs": {"sutton_barto_reward": True}}, {"env__id": "CartPole-v0"},
        )  # fmt: skip
        for change in changes:
            other = make(env__constants=mine, **change)
            assert other.env.normalization == NormalizationSettings(None, None), change
            assert set(other.settings.baselines.values()) == {None}, change

    def test_an_expert_that_is_worse_than_chance_normalizes_nothing(self, make: Any, tmp_path: Path, caplog: Any):
        """The sign of the scale would turn, and the worst policy would be the best."""
        lean = torch.tensor([[0.0, 0.0, 1.0, 0.5], [0.0, 0.0, -1.0, -0.5]])
        family = _imitating(make)
        NetworkPolicy.from_layers([(3 * lean, torch.zeros(2))], "relu", "q").save(tmp_path / "experts/cartpole_v1/dqn")
        _stored(family, tmp_path / "run")
        found = evaluate(family, tmp_path / "run", [])
        assert found["final"].keys() == {"mean_return", "regret"}
        assert found.keys() == {"final", "mean", "stderr"}
        assert len(caplog.records) == 1
        assert "mean return" in _training(family, tmp_path / "run", found).axes[0].get_title(loc="left")

    def test_what_was_measured_is_kept(self, make: Any, monkeypatch: pytest.MonkeyPatch):
        first = make()
        returns = first.judging.expert_returns(), first.judging.uniform_returns()
        again = make()
        monkeypatch.setattr(ControlJudging, "returns", lambda *arguments: pytest.fail("measured again"))
        assert np.array_equal(again.judging.expert_returns(), returns[0])
        assert np.array_equal(again.judging.uniform_returns(), returns[1])
        fewer = make(evaluation__episodes=4)
        assert np.array_equal(fewer.judging.uniform_returns(), returns[1][:4])
        for change in ({"evaluation__episodes": 7}, {"env__perturbation__gravity": 12.0}, {"env__max_steps": 39}):
            with pytest.raises(pytest.fail.Exception, match="measured again"):
                make(**change).judging.uniform_returns()
        monkeypatch.setattr(rules, "_version", lambda: "0.0")  # of Gymnasium
        with pytest.raises(pytest.fail.Exception, match="measured again"):
            make().judging.uniform_returns()

    def test_the_protocol_says_how_the_policy_was_found(self, make: Any):
        guided = make().protocol()
        assert guided["policy"] == "ppo"
        assert guided["reference_weight"] > 0
        assert guided["warm_start"] is True
        alone = make("modality=p").protocol()
        assert (alone["reference_weight"], alone["warm_start"]) == (0, False)
        assert make(policy__checkpoint="true_reward").protocol()["checkpoint"] == "true_reward"
        assert _imitating(make).protocol() == {"policy": "imitation", "checkpoint": "last"}
