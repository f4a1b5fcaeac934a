"""What is allowed in a configuration as a whole, and what makes a run's hash."""

import re
from typing import Any

import pytest
from omegaconf import DictConfig, OmegaConf

from mavrl.configuration.check import check, run_directory
from mavrl.configuration.identity import active_kinds, config_hash, is_execution, scientific
from mavrl.configuration.rules import rules_of
from mavrl.errors import ConfigurationError

KINDS = ["preference", "demonstration", "rating", "stop"]


def test_the_defaults_are_allowed(default: DictConfig, control: DictConfig) -> None:
    check(default)
    check(control)


# Rules about several keys --------------------------------------------------------------------------------------------


def test_no_active_feedback(default: DictConfig, changed: Any) -> None:
    nothing = changed(default, {f"feedback.{kind}.n_samples": 0 for kind in KINDS})
    with pytest.raises(ConfigurationError, match="no feedback is active") as caught:
        check(nothing)
    assert caught.value.key == "modality"


def test_a_count_of_zero_switches_a_kind_off(default: DictConfig, changed: Any) -> None:
    assert active_kinds(default) == KINDS
    assert active_kinds(changed(default, {"feedback.rating.n_samples": 0})) == ["preference", "demonstration", "stop"]


@pytest.mark.parametrize("family", ["default", "control"])
@pytest.mark.parametrize("kind", ["preference", "rating", "stop"])
def test_segments_must_fit_the_episodes(family: str, kind: str, changed: Any, request: pytest.FixtureRequest) -> None:
    settings = {f"feedback.{k}.segment_len": 20 for k in ("preference", "rating", "stop")}
    short = changed(request.getfixturevalue(family), {**settings, "env.max_steps": 20})
    check(short)
    long = changed(short, {f"feedback.{kind}.segment_len": 21})
    with pytest.raises(ConfigurationError, match=r"at most 20.*env\.max_steps=20"):
        check(long)
    check(changed(long, {"modality.active": ["demonstration"]}))


@pytest.mark.parametrize(
    ("words", "key"),
    [
        (("model.q=learned",), "model.q"),
        (("members=2",), "members"),
        (("task=online",), "rounds.name"),
        (("trainer.validation=true",), "trainer.validation"),
        (("model.sampling.chains=1",), "model.sampling.chains"),
        (("model.sampling.draws=3",), "model.sampling.draws"),
    ],
)
def test_an_exact_posterior_is_of_simulated_feedback_and_a_planned_q(
    words: tuple[str, ...], key: str, composed: Any
) -> None:
    check(composed("experiment=exact"))
    with pytest.raises(ConfigurationError) as caught:
        check(composed("experiment=exact", *words))
    assert caught.value.key == key


def test_an_exact_posterior_is_of_grids(composed: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"^model.objective=exact: must be one of elbo, weighted"):
        check(composed("env=cartpole_v1", "model.objective=exact"))
    with pytest.raises(ConfigurationError, match=r"^model.sampling.chains=: is not there"):
        check(composed("model.objective=exact"))


def test_only_an_exact_posterior_is_sampled(composed: Any, changed: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"^model.sampling"):
        check(composed("+model.sampling={chains: 4}"))
    exact = composed("experiment=exact")
    assert config_hash(changed(exact, {"model.sampling.thinning": 7})) != config_hash(exact)


@pytest.mark.parametrize("task", ["expert", "normalize", "transfer", "evaluate"])
def test_only_tasks_that_collect_feedback_need_room_for_it(task: str, composed: Any) -> None:
    check(composed("env=cartpole_v1", "env.max_steps=20", f"task={task}"))


@pytest.mark.parametrize("key", ["n_samples", "gen_samples"])
def test_there_must_be_as_many_segments(default: DictConfig, changed: Any, key: str) -> None:
    few = changed(default, {"env.max_steps": 20, "feedback.preference.n_episodes": 10})
    check(changed(few, {f"feedback.preference.{key}": 100}))
    with pytest.raises(ConfigurationError, match=r"needs 202 segments.*200"):
        check(changed(few, {f"feedback.preference.{key}": 101}))


@pytest.mark.parametrize(("key", "value"), [("selection", "best"), ("trainer.patience", 3)])
def test_selection_needs_validation(default: DictConfig, changed: Any, key: str, value: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"trainer\.validation=true") as caught:
        check(changed(default, {key: value}))
    assert caught.value.key == key
    check(changed(default, {key: value, "trainer.validation": True}))


@pytest.mark.parametrize(
    ("words", "allowed"),
    [
        (("model.covariance=full", "model.objective=weighted"), r"must be diagonal, or null"),
        (("model.covariance=full", "env.size=41"), r"env\.size up to 40"),
        (("env=cartpole_v1", "model.covariance=full"), r"must be diagonal"),
        (("env=cartpole_v1", "model.covariance=null"), r"must be diagonal"),
        (("model.covariance=round",), r"full, low_rank"),
    ],
)
def test_covariances_that_make_no_sense_are_refused(composed: Any, words: tuple[str, ...], allowed: str) -> None:
    with pytest.raises(ConfigurationError, match=allowed) as caught:
        check(composed(*words))
    assert caught.value.key == "model.covariance"


def test_independent_states_have_the_hash_of_before_they_could_be_said(composed: Any) -> None:
    assert "covariance" not in scientific(composed("model.covariance=diagonal"))["model"]
    assert scientific(composed("model.covariance=full"))["model"]["covariance"] == "full"
    assert scientific(composed())["model"]["covariance"] is None


class TestPolicies:
    @pytest.mark.parametrize("modality", ["p", "rs", "prs"])
    def test_imitation_needs_demonstrations(self, composed: Any, modality: str):
        with pytest.raises(ConfigurationError, match=r"^policy=imitation: needs demonstrations") as caught:
            check(composed("env=cartpole_v1", "policy=imitation", f"modality={modality}"))
        assert caught.value.key == "policy"

    def test_imitation_of_no_demonstrations(self, composed: Any):
        with pytest.raises(ConfigurationError, match="needs demonstrations"):
            check(composed("env=cartpole_v1", "policy=imitation", "feedback.demonstration.n_samples=0"))

    @pytest.mark.parametrize("modality", ["d", "pd", "pdrs"])
    def test_imitation_of_demonstrations(self, composed: Any, modality: str):
        check(composed("env=cartpole_v1", "policy=imitation", f"modality={modality}"))

    @pytest.mark.parametrize("task", ["train", "data", "normalize", "transfer", "evaluate"])
    def test_dqn_trains_experts_only(self, composed: Any, task: str):
        with pytest.raises(ConfigurationError, match=r"^policy=dqn: trains experts \(task=expert\)"):
            check(composed("env=cartpole_v1", "policy=dqn", f"task={task}"))

    @pytest.mark.parametrize("policy", ["dqn", "ppo", "sac"])
    def test_experts_are_trained_with_either(self, composed: Any, policy: str):
        check(composed("env=cartpole_v1", f"policy={policy}", "task=expert"))

    def test_an_update_s_batch_is_part_of_a_rollout(self, control: DictConfig, changed: Any):
        small = changed(control, {"policy.n_envs": 4, "policy.n_steps": 32, "policy.batch_size": 128})
        check(small)
        with pytest.raises(ConfigurationError, match=r"^policy\.batch_size=129: must be at most .* = 128$"):
            check(changed(small, {"policy.batch_size": 129}))

    @pytest.mark.parametrize(
        ("words", "n_steps", "batch_size"),
        [
            ((), 977, 488),  # 500,000 / (16 * 32), rounded up
            (("policy.total_steps=100000", "policy.updates=100"), 63, 31),
            (("policy.total_steps=10000000",), 1024, 512),  # more updates
            (("policy.total_steps=10",), 2, 2),
            (("policy.n_steps=128", "policy.updates=7"), 128, 64),
        ],
    )
    def test_steps_of_an_update(self, composed: Any, words: tuple[str, ...], n_steps: int, batch_size: int):
        policy = composed("env=lunar_lander_v3", *words).policy
        assert (policy.n_steps, policy.batch_size) == (n_steps, batch_size)

    @pytest.mark.parametrize(
        ("key", "value", "allowed"),
        [
            ("learning_starts", 100000, "must be below policy.total_steps = 100000"),
            ("ent_coef", "auto_0", "must be a number from 0, auto, or auto_x"),
            ("train_freq", [1, "episode"], "must be a whole number"),
            ("warm_start", True, "must be one of false"),
        ],
    )
    def test_what_sac_is_not(self, composed: Any, changed: Any, key: str, value: Any, allowed: str):
        config = composed("env=cartpole_v1", "policy=sac", "+policy.warm_start=false")
        check(config)
        check(changed(config, {"policy.ent_coef": "auto_0.1"}))
        with pytest.raises(ConfigurationError, match=f"^policy.{key}=.*: {re.escape(allowed)}"):
            check(changed(config, {f"policy.{key}": value}))

    @pytest.mark.parametrize("policy", ["ppo", "sac", "imitation", "dqn"])
    def test_grids_are_planned(self, composed: Any, policy: str):
        with pytest.raises(ConfigurationError, match="must be one of exact"):
            check(composed("env=grid_trap", f"policy={policy}"))

    def test_control_is_not(self, composed: Any):
        with pytest.raises(ConfigurationError, match="must be one of ppo, imitation, dqn"):
            check(composed("env=cartpole_v1", "policy=exact"))


# The hash ------------------------------------------------------------------------------------------------------------

UNSCIENTIFIC = {
    "rerun": True, "figures": "none", "progress": False, "threads": 2, "processes": 7, "checkpoint_seconds": 99,
    "run_dir": "x",
    "paths.runs": "x", "paths.cache": None, "paths.experts": "x", "logger.name": "tensorboard",
    "feedback.rating.gen_samples": 500, "dry_run": True, "study": "x", "search.budget": 7, "search.n_trials": 7,
    "search.seed": 7, "search.trial": 7, "notify.url": "http://x", "paths.studies": "x",
    "data.folder": "x", "data.folds": 7,  # which no simulated feedback has
}  # fmt: skip
SCIENTIFIC = {
    "data.digest": "x", "seed": 5, "replicates": 3, "members": 2, "selection": "best",
    "env.size": 5, "env.p_rand": 0.1, "env.gamma": 0.9,
    "env.max_steps": 77, "env.termination": "neutral", "env.layout": "cliff", "model.objective": "weighted",
    "model.q": "learned", "model.backup": "soft", "model.prior.scale": 0.7, "model.hidden_sizes": [3],
    "model.covariance": "diagonal", "model.covariance_rank": 3,
    "model.kl_weight": 0.5, "model.bellman_weight": 0.5, "model.importance_weights": True, "optim.lr": 0.123,
    "optim.batch_size": 13, "optim.schedule": "constant", "optim.weight_decay": 0.5, "optim.gradient_clip": 0.5,
    "trainer.max_epochs": 7, "trainer.passes_per_epoch": 3, "trainer.validation": True, "trainer.patience": 3,
    "feedback.preference.n_samples": 7, "feedback.demonstration.n_samples": 7, "feedback.stop.n_samples": 0,
    "feedback.rating.segment_len": 3, "feedback.stop.discount": 0.77, "feedback.stop.lapse": 0.5,
    "feedback.preference.teacher_rationality": 1.5, "feedback.preference.model_rationality": 1.5,
    "feedback.rating.n_categories": 3, "feedback.stop.n_episodes": 99, "feedback.stop.behaviour_rationality": 1.0,
    "feedback.preference.cost": 2.0, "feedback.stop.annotators": "pooled",
    "learn_rationality": True, "feedback.stop.learn_rationality": True, "feedback.rating.teacher_noise": 2.0,
    "feedback.stop.model_scale": 1.5,
}  # fmt: skip
# Of control only. What a policy is compared with, and how an expert was trained, changes no result.
UNSCIENTIFIC_CONTROL = {
    "env.baselines.positive": 123.0, "env.experts": {"dqn": {"total_steps": 7}}, "env.reference_epochs": 9,
}  # fmt: skip
SCIENTIFIC_CONTROL = {
    "env.wrappers": ["FlattenObservation"],
    "env.id": "Acrobot-v1", "env.kwargs": {"sutton_barto_reward": True}, "env.perturbation.gravity": 12.0,
    "env.fixed_horizon": True, "env.behaviour_expert": "uniform", "env.demonstration_expert": None,
    "env.teacher_reward": [{"observation": 0, "weight": -1.0}], "env.reward_unit": 2.0,
    "env.normalization.optimal": 400, "env.normalization.uniform": None, "feedback.demonstration.minimum_return": 10,
    "model.kl_count": "transition", "model.reward_domain": "sas", "model.standardize": False, "evaluation.episodes": 7,
    "optim.demonstration_batch_size": 7, "policy.total_steps": 7, "policy.reward": "sample", "policy.kappa": 0.5,
    "policy.sample_per": "episode", "policy.standardize": False, "policy.clip": 7.0, "policy.reference_weight": 0.123,
    "policy.warm_start": False, "policy.checkpoint": "true_reward", "policy.stop_below": 3, "policy.n_envs": 3,
    "policy.vector": "envpool",
    "policy.learning_rate": 7e-4, "policy.gamma": 0.5, "policy.hidden_sizes": [3], "policy.parts": 3,
    "policy.updates": 7, "policy.evaluate_every": 4000, "policy.normalize_observations": True,
}  # fmt: skip


@pytest.mark.parametrize("key", UNSCIENTIFIC)
@pytest.mark.parametrize("family", ["default", "control"])
def test_how_a_run_is_stored_and_watched_does_not_change_its_hash(
    family: str, key: str, changed: Any, request: pytest.FixtureRequest
) -> None:
    config = request.getfixturevalue(family)
    other = changed(config, {key: UNSCIENTIFIC[key]})
    assert OmegaConf.select(other, key) != OmegaConf.select(config, key)
    assert config_hash(other) == config_hash(config)


@pytest.mark.parametrize("key", UNSCIENTIFIC_CONTROL)
def test_what_a_policy_is_compared_with_does_not_either(control: DictConfig, changed: Any, key: str) -> None:
    assert config_hash(changed(control, {key: UNSCIENTIFIC_CONTROL[key]})) == config_hash(control)


@pytest.mark.parametrize("key", SCIENTIFIC)
def test_what_makes_the_result_changes_its_hash(default: DictConfig, changed: Any, key: str) -> None:
    other = changed(default, {key: SCIENTIFIC[key]})
    assert OmegaConf.select(other, key) != OmegaConf.select(default, key)
    assert config_hash(other) != config_hash(default)


@pytest.mark.parametrize("key", SCIENTIFIC_CONTROL)
def test_what_makes_the_result_of_control_changes_its_hash(control: DictConfig, changed: Any, key: str) -> None:
    other = changed(control, {key: SCIENTIFIC_CONTROL[key]})
    assert OmegaConf.select(other, key) != OmegaConf.select(control, key)
    assert config_hash(other) != config_hash(control)


@pytest.mark.parametrize("family", ["default", "control"])
def test_every_allowed_key_is_known_to_be_scientific_or_not(
    family: str, changed: Any, request: pytest.FixtureRequest
) -> None:
    """A change of any other key with a rule changes the hash too."""
    config = request.getfixturevalue(family)
    beside = {"counts", "env.baselines.negative", *UNSCIENTIFIC_CONTROL, *UNSCIENTIFIC, "env.family"}
    ignored = {"evaluation.episodes", "policy.name"} if family == "default" else set()
    required = {key for key, rule in rules_of(config).items() if rule.required and not key.startswith("modality.")}
    for key in required - beside - ignored:
        if not key.endswith("gen_samples") and not is_execution(key):
            assert config_hash(changed(config, {key: 123456})) != config_hash(config), key


def test_grids_do_not_know_policies(composed: Any, changed: Any) -> None:
    grid = composed("env=grid_trap")
    assert config_hash(changed(grid, {"policy": {"name": "exact", "kappa": 7}})) == config_hash(grid)
    assert config_hash(changed(grid, {"evaluation.episodes": 7})) == config_hash(grid)


def test_policies_of_control_are_different_runs(composed: Any) -> None:
    hashes = {config_hash(composed("env=cartpole_v1", f"policy={policy}")) for policy in ("ppo", "imitation")}
    assert len(hashes) == 2


def test_numbers_that_are_equal_are_the_same_setting(default: DictConfig, changed: Any) -> None:
    for key in ("feedback.stop.scale", "model.bellman_weight", "env.p_rand"):
        whole = int(OmegaConf.select(default, key))
        assert config_hash(changed(default, {key: whole})) == config_hash(changed(default, {key: float(whole)}))


def test_settings_of_inactive_feedback_do_not_matter(composed: Any) -> None:
    plain = composed("modality=p")
    others = composed("modality=p", "feedback.rating.n_categories=3", "feedback.stop.n_samples=5")
    assert config_hash(plain) == config_hash(others)
    assert config_hash(composed("modality=pr", "feedback.rating.n_samples=0")) == config_hash(plain)


@pytest.mark.parametrize("env", ["grid_trap", "cartpole_v1"])
def test_counts_given_by_name_or_by_number_are_the_same_run(composed: Any, env: str) -> None:
    by_name = composed(f"env={env}", "experiment=small", "modality=p")
    count = by_name.feedback.preference.n_samples
    by_number = composed(f"env={env}", "modality=p", f"feedback.preference.n_samples={count}")
    assert config_hash(by_name) == config_hash(by_number)
    assert config_hash(by_name) != config_hash(composed(f"env={env}", "modality=p"))


def test_the_directory_of_a_run(default: DictConfig, control: DictConfig, composed: Any) -> None:
    assert run_directory(default) == f"runs/grid_trap/pdrs/{config_hash(default)}"
    assert run_directory(control) == f"runs/cartpole_v1/pdrs/{config_hash(control)}"
    assert run_directory(composed("task=data")) == "."
