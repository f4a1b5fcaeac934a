"""What is allowed in a configuration, and what makes a run's hash."""

import copy
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.utils import get_class, get_method
from omegaconf import DictConfig, ListConfig, OmegaConf

from mavrl.errors import ConfigurationError
from mavrl.tasks.configuration import RULES, active_kinds, check, config_hash, register_resolvers, run_directory

CONF = Path(__file__).parents[2] / "conf"
ENVS = sorted(path.stem for path in (CONF / "env").glob("grid_*.yaml"))
MODALITIES = sorted(path.stem for path in (CONF / "modality").glob("*.yaml"))
EXPERIMENTS = sorted(path.stem for path in (CONF / "experiment").glob("*.yaml"))


@pytest.fixture(scope="module", autouse=True)
def _hydra() -> Iterator[None]:
    register_resolvers()
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(CONF)):
        yield


@pytest.fixture(scope="module")
def default() -> DictConfig:
    return compose("config")


def _with(config: DictConfig, key: str, value: Any) -> DictConfig:
    changed = copy.deepcopy(config)
    OmegaConf.update(changed, key, value, merge=False)
    return changed


# Rules ---------------------------------------------------------------------------------------------------------------


def test_the_default_is_allowed(default: DictConfig) -> None:
    check(default)


@pytest.mark.parametrize("key", RULES)
def test_every_rule_refuses_a_bad_value_and_names_it(default: DictConfig, key: str) -> None:
    text = "path" in RULES[key].allowed
    bad: Any = 3 if text else "nonsense"
    with pytest.raises(ConfigurationError) as caught:
        check(_with(default, key, bad))
    message = str(caught.value)
    assert caught.value.key == key
    assert message.startswith(f"{key}={bad}: ")
    assert RULES[key].allowed in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *((f"feedback.{k}.n_samples", -1) for k in ("preference", "demonstration", "rating", "stop")),
        ("feedback.rating.n_samples", 10**12),
        ("feedback.rating.n_samples", 2.5),
        ("feedback.rating.n_samples", True),
        ("feedback.rating.gen_samples", -1),
        ("feedback.rating.segment_len", 0),
        ("feedback.rating.n_categories", 1),
        ("feedback.stop.discount", 1.1),
        ("feedback.stop.percentile", 101),
        ("feedback.stop.lapse", 0),
        ("env.gamma", 1),
        ("env.gamma", 1.0),
        ("env.gamma", -0.1),
        ("env.gamma", float("nan")),
        ("env.p_rand", -0.01),
        ("env.p_rand", 1.01),
        ("env.size", 2),
        ("env.size", 4.0),
        ("env.max_steps", 0),
        ("env.termination", "sucess"),
        ("model.hidden_sizes", []),
        ("model.hidden_sizes", [64, 0]),
        ("model.hidden_sizes", 64),
        ("model.prior.scale", 0),
        ("model.kl_weight", -1),
        ("model.kl_weight", float("inf")),
        ("model.importance_weights", 1),
        ("replicates", 0),
        ("replicates", True),
        ("members", 0),
        ("seed", -1),
        ("seed", None),
        ("optim.lr", 0),
        ("optim.lr", -1e-3),
        ("optim.batch_size", 0),
        ("trainer.max_epochs", 0),
        ("trainer.patience", 0),
        ("threads", 0),
        ("paths.runs", ""),
        ("paths.runs", None),
        ("checkpoint_seconds", -1),
    ],
)
def test_values_at_and_beyond_the_limits(default: DictConfig, key: str, value: Any) -> None:
    with pytest.raises(ConfigurationError) as caught:
        check(_with(default, key, value))
    assert caught.value.key == key


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("env.gamma", 0), ("env.p_rand", 0), ("env.p_rand", 1), ("env.size", 3), ("seed", 0), ("paths.cache", None),
        ("feedback.demonstration.n_samples", 0), ("model.prior.scale", 2), ("model.prior.scale", None), ("optim.lr", 1),
        ("model.hidden_sizes", [1]), ("env.max_steps", 10), ("checkpoint_seconds", 0), ("env.max_steps", None),
    ],
)  # fmt: skip
def test_values_within_the_limits(default: DictConfig, key: str, value: Any) -> None:
    check(_with(default, key, value))


def test_every_key_with_a_rule_exists(default: DictConfig) -> None:
    missing = object()
    assert [key for key in RULES if OmegaConf.select(default, key, default=missing) is missing] == []


def test_every_setting_has_a_rule(default: DictConfig) -> None:
    """Names of options, what a logger is told, and the counts that n_samples refers to need none."""
    free = ("env.samples.", "logger.", "task.", "modality.", "paths.experts", "env.name", "env.layout")
    leaves = [key for key in _leaves(default) if not key.startswith(free) and not key.endswith("_target_")]
    assert len(leaves) > 40
    assert [key for key in leaves if key not in RULES] == []


def _leaves(node: Any, prefix: str = "") -> list[str]:
    found = []
    for key in node:
        value = OmegaConf.select(node, key)
        path = f"{prefix}{key}"
        found += _leaves(value, f"{path}.") if isinstance(value, DictConfig) else [path]
    return found


# Rules about several keys --------------------------------------------------------------------------------------------


def test_no_active_feedback(default: DictConfig) -> None:
    nothing = copy.deepcopy(default)
    for kind in nothing.modality.active:
        nothing.feedback[kind].n_samples = 0
    with pytest.raises(ConfigurationError, match="no feedback is active") as caught:
        check(nothing)
    assert caught.value.key == "modality"


def test_a_count_of_zero_switches_a_kind_off(default: DictConfig) -> None:
    assert active_kinds(default) == ["preference", "demonstration", "rating", "stop"]
    assert active_kinds(_with(default, "feedback.rating.n_samples", 0)) == ["preference", "demonstration", "stop"]


@pytest.mark.parametrize("kind", ["preference", "rating", "stop"])
def test_segments_must_fit_the_episodes(default: DictConfig, kind: str) -> None:
    short = _with(default, "env.max_steps", 20)
    check(_with(short, f"feedback.{kind}.segment_len", 20))
    with pytest.raises(ConfigurationError, match=r"at most 20.*env\.max_steps=20"):
        check(_with(short, f"feedback.{kind}.segment_len", 21))
    check(_with(_with(short, "modality.active", ["demonstration"]), f"feedback.{kind}.segment_len", 21))


@pytest.mark.parametrize("key", ["n_samples", "gen_samples"])
def test_there_must_be_as_many_segments(default: DictConfig, key: str) -> None:
    few = _with(_with(default, "env.max_steps", 20), "feedback.preference.n_episodes", 10)
    check(_with(few, f"feedback.preference.{key}", 100))
    with pytest.raises(ConfigurationError, match=r"needs 202 segments.*200"):
        check(_with(few, f"feedback.preference.{key}", 101))


@pytest.mark.parametrize(("key", "value"), [("selection", "best"), ("trainer.patience", 3)])
def test_selection_needs_validation(default: DictConfig, key: str, value: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"trainer\.validation=true") as caught:
        check(_with(default, key, value))
    assert caught.value.key == key
    check(_with(_with(default, key, value), "trainer.validation", True))


# The hash ------------------------------------------------------------------------------------------------------------

UNSCIENTIFIC = {
    "rerun": True, "progress": False, "threads": 2, "checkpoint_seconds": 99, "run_dir": "x", "paths.runs": "x",
    "paths.cache": None, "paths.experts": "x", "logger.name": "tensorboard", "feedback.rating.gen_samples": 500,
}  # fmt: skip
SCIENTIFIC = {
    "seed": 5, "replicates": 3, "members": 2, "selection": "best", "env.size": 5, "env.p_rand": 0.1, "env.gamma": 0.9,
    "env.max_steps": 77, "env.termination": "neutral", "env.layout": "cliff", "model.objective": "weighted",
    "model.q": "learned", "model.backup": "soft", "model.prior.scale": 0.7, "model.hidden_sizes": [3],
    "model.kl_weight": 0.5, "model.bellman_weight": 0.5, "model.importance_weights": True, "optim.lr": 0.123,
    "optim.batch_size": 13, "optim.schedule": "constant", "optim.weight_decay": 0.5, "optim.gradient_clip": 0.5,
    "trainer.max_epochs": 7, "trainer.passes_per_epoch": 3, "trainer.validation": True, "trainer.patience": 3,
    "feedback.preference.n_samples": 7, "feedback.demonstration.n_samples": 7, "feedback.stop.n_samples": 0,
    "feedback.rating.segment_len": 3, "feedback.stop.discount": 0.77, "feedback.stop.lapse": 0.5,
    "feedback.preference.teacher_rationality": 1.5, "feedback.preference.model_rationality": 1.5,
    "feedback.rating.n_categories": 3, "feedback.stop.n_episodes": 99, "feedback.stop.behaviour_rationality": 1.0,
}  # fmt: skip


@pytest.mark.parametrize("key", UNSCIENTIFIC)
def test_how_a_run_is_stored_and_watched_does_not_change_its_hash(default: DictConfig, key: str) -> None:
    changed = _with(default, key, UNSCIENTIFIC[key])
    assert OmegaConf.select(changed, key) != OmegaConf.select(default, key)
    assert config_hash(changed) == config_hash(default)


@pytest.mark.parametrize("key", SCIENTIFIC)
def test_what_makes_the_result_changes_its_hash(default: DictConfig, key: str) -> None:
    changed = _with(default, key, SCIENTIFIC[key])
    assert OmegaConf.select(changed, key) != OmegaConf.select(default, key)
    assert config_hash(changed) != config_hash(default)


def test_every_allowed_key_is_known_to_be_scientific_or_not(default: DictConfig) -> None:
    """A change of any other key with a rule changes the hash too."""
    plain = {key for key in RULES if key not in UNSCIENTIFIC and not key.endswith("gen_samples") and key != "counts"}
    for key in plain:
        assert config_hash(_with(default, key, 123456)) != config_hash(default), key


def test_numbers_that_are_equal_are_the_same_setting(default: DictConfig) -> None:
    for key in ("feedback.stop.scale", "model.bellman_weight", "env.p_rand"):
        whole = int(OmegaConf.select(default, key))
        assert config_hash(_with(default, key, whole)) == config_hash(_with(default, key, float(whole)))


def test_settings_of_inactive_feedback_do_not_matter() -> None:
    plain = compose("config", ["modality=p"])
    changed = compose("config", ["modality=p", "feedback.rating.n_categories=3", "feedback.stop.n_samples=5"])
    assert config_hash(plain) == config_hash(changed)
    zero = compose("config", ["modality=pr", "feedback.rating.n_samples=0"])
    assert config_hash(zero) == config_hash(plain)


def test_counts_given_by_name_or_by_number_are_the_same_run() -> None:
    by_name = compose("config", ["experiment=small", "modality=p"])
    count = by_name.feedback.preference.n_samples
    by_number = compose("config", ["modality=p", f"feedback.preference.n_samples={count}"])
    assert config_hash(by_name) == config_hash(by_number)
    assert config_hash(by_name) != config_hash(compose("config", ["modality=p"]))


def test_the_directory_of_a_run(default: DictConfig) -> None:
    directory = run_directory(default)
    assert directory == f"runs/grid_trap/pdrs/{config_hash(default)}"
    assert run_directory(compose("config", ["task=data"])) == "."


# Groups --------------------------------------------------------------------------------------------------------------


def test_there_are_fifteen_modalities_six_grids_and_three_experiments() -> None:
    letters = {"".join(c) for n in range(1, 5) for c in itertools.combinations("pdrs", n)}
    assert set(MODALITIES) == letters
    assert len(ENVS) == 6
    assert {"paper", "small", "reference"} <= set(EXPERIMENTS)


@pytest.mark.parametrize(("number", "modality"), list(enumerate(MODALITIES)))
def test_every_modality_composes(number: int, modality: str) -> None:
    env, experiment = ENVS[number % len(ENVS)], EXPERIMENTS[number % len(EXPERIMENTS)]
    check(compose("config", [f"env={env}", f"modality={modality}", f"experiment={experiment}"]))


@pytest.mark.slow
@pytest.mark.parametrize("modality", MODALITIES)
def test_every_modality_composes_with_every_environment_and_experiment(modality: str) -> None:
    kinds = {"p": "preference", "d": "demonstration", "r": "rating", "s": "stop"}
    hashes = set()
    for env, experiment in itertools.product(ENVS, EXPERIMENTS):
        config = compose("config", [f"env={env}", f"modality={modality}", f"experiment={experiment}"])
        check(config)
        assert active_kinds(config) == [kinds[letter] for letter in modality]
        hashes.add(config_hash(config))
    assert len(hashes) == len(ENVS) * len(EXPERIMENTS)


def test_every_target_resolves() -> None:
    targets = []
    for path in CONF.rglob("*.yaml"):
        targets += _targets(OmegaConf.load(path))
    assert len(targets) >= 7
    for target in targets:
        assert target.startswith("mavrl.")
        found = get_class(target) if target.rpartition(".")[2][0].isupper() else get_method(target)
        assert callable(found)


def _targets(node: Any) -> list[str]:
    if isinstance(node, DictConfig):
        own = [node["_target_"]] if "_target_" in node else []
        children = [node._get_node(key) for key in node]
        return own + [target for child in children for target in _targets(child)]
    if isinstance(node, ListConfig):
        return [target for child in node for target in _targets(child)]
    return []
