"""What makes a result, in one place: hash, record, repetition, and what changes an environment."""

from pathlib import Path
from typing import Any

import pytest
from omegaconf import DictConfig, OmegaConf

from mavrl.configuration.identity import (
    changes_environment,
    config_hash,
    environment,
    is_execution,
    recorded,
    repeating,
    scientific,
    settings_but_seeds,
    unclassified,
)
from mavrl.configuration.plain import plain
from mavrl.configuration.settings import RunSettings

CASES = [
    ("env=grid_trap",),
    ("env=grid_cliff", "modality=dr", "env.p_rand=0.1", "model.prior.scale=0.5", "model.hidden_sizes=[8,4]", "seed=7"),
    ("env=grid_trap", "experiment=[reference,small]", "feedback.stop.n_samples=0", "selection=best"),
    ("env=cartpole_v1", "env.perturbation.gravity=12", "policy.learning_rate=lin_3e-4", "policy.minibatches=4"),
    ("env=acrobot_v1", "policy=imitation", "modality=d"),
    ("env=grid_two_goals_first", "env.teacher_reward.second=0"),
    ("env=cartpole_v1_left",),
    ("env=cartpole_v1_left", "env.teacher_reward=null"),
    ("env=pendulum_v1", "env.reward_unit=1"),
    ("env=highway_v0_gentle",),
    ("env=lunar_lander_v3", "experiment=bpref", "teacher=stochastic", "teacher.equal=0.2"),
    ("experiment=misspecification", "teacher=wrong", "learn_rationality=true"),
    ("teacher=wrong", "feedback.rating.teacher_noise=1.0", "feedback.stop.model_scale=null"),
    ("env=lunar_lander_v3", "experiment=reference", "+env.kwargs={continuous: false, name: 'a b, c'}"),
]


CHOICES = {  # of cartpole_v1
    "env": "cartpole_v1", "modality": "pdrs", "policy": "ppo", "query": "random", "teacher": "simulated",
    "model": "control", "optim": "control", "trainer": "control",
}  # fmt: skip


@pytest.mark.parametrize("arguments", CASES)
def test_the_same_run(arguments: tuple[str, ...], composed: Any) -> None:
    config = composed(*arguments)
    family = "control" if config.env.family == "control" else "default"
    choices = {name: config[name].name for name in ("env", "modality", "policy")}
    teacher = next((word.removeprefix("teacher=") for word in arguments if word.startswith("teacher=")), "simulated")
    choices |= {"query": "random", "teacher": teacher, "rounds": config.rounds.name}
    stored = recorded(config, {**choices, **dict.fromkeys(("model", "optim", "trainer"), family)}, arguments)
    repeated = composed(*repeating(stored))
    assert config_hash(repeated) == config_hash(config)
    assert plain(repeated.env)["name"] == config.env.name


def test_values_are_written_for_a_command_line() -> None:
    groups = ("env", "modality", "query", "teacher", "model", "optim", "trainer", "policy")
    choices = dict.fromkeys(groups, "x")
    values = {"a": {"b": None, "c": True, "_target_": "x"}, "d": [1, "e"], "f": {"g": {}}}
    lines = repeating({**values, "choices": choices, "overrides": ["seed=1"]})
    assert lines[len(groups) :] == ["++a.b=null", "++a.c=true", '++d=[1,"e"]', "++f.g={}"]


OWN = "env.id=my_maze:Maze-v0"


def test_the_code_of_an_environment_is_part_of_its_runs(
    composed: Any, changed: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "my_maze.py").write_text("raise RuntimeError('a hash imports nothing')")
    config = composed("env=cartpole_v1", OWN)
    before, content = config_hash(config), recorded(config, CHOICES, [OWN])
    assert content["code"].keys() == {"gymnasium", "my_maze"}
    assert not any("my_maze=" in word or "gymnasium=" in word for word in repeating(content))
    assert config_hash(composed(*repeating(content))) == before
    (tmp_path / "my_maze.py").write_text("REWARD = -1.0  # a hash imports nothing")
    assert config_hash(config) != before
    assert settings_but_seeds(recorded(config, CHOICES, [OWN])) != settings_but_seeds(content)


def test_the_version_of_gymnasium_is_part_of_control_s_runs(
    default: DictConfig, control: DictConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = [config_hash(config) for config in (default, control)]
    monkeypatch.setattr("mavrl.families.control.rules._version", lambda: "0.0")
    after = [config_hash(config) for config in (default, control)]
    assert (before[0] == after[0], before[1] == after[1]) == (True, False)
    assert "code" not in scientific(default)


def test_a_cost_of_one_says_nothing(default: DictConfig, changed: Any) -> None:
    """The hash is that of runs from before questions had costs, and of kinds whose YAML says none."""
    assert OmegaConf.select(default, "feedback.rating.cost") == 1
    assert all("cost" not in settings for settings in scientific(default)["feedback"].values())
    assert config_hash(changed(default, {"feedback.rating.cost": 1})) == config_hash(default)
    other = changed(default, {"feedback.rating.cost": 2})
    assert config_hash(other) != config_hash(default)
    assert scientific(other)["feedback"]["rating"]["cost"] == 2


def test_rationality_that_is_given_says_nothing(default: DictConfig, changed: Any) -> None:
    """The hash is that of runs from before it could be learned."""
    feedback = plain(default.feedback)
    for settings in feedback.values():
        del settings["learn_rationality"]
    del feedback["rating"]["teacher_noise"], feedback["stop"]["model_scale"]
    assert config_hash(changed(default, {"feedback": feedback})) == config_hash(default)
    assert scientific(changed(default, {"feedback": feedback})) == scientific(default)


def test_observations_as_they_are_say_nothing(control: DictConfig, changed: Any, composed: Any) -> None:
    """The hash is that of runs from before they could be normalized, and is repeated where the option normalizes."""
    before = plain(control.policy)
    del before["normalize_observations"]
    assert config_hash(changed(control, {"policy": before})) == config_hash(control)
    plainly = composed("env=cartpole_v1", "policy=ppo_mujoco", "policy.normalize_observations=false")
    content = recorded(plainly, {**CHOICES, "policy": "ppo_mujoco"}, [])
    assert "normalize_observations" not in content["policy"]
    assert config_hash(composed(*repeating(content))) == config_hash(plainly)
    assert config_hash(composed("env=cartpole_v1", "policy=ppo_mujoco")) != config_hash(plainly)


@pytest.mark.parametrize("node", ["feedback.rating", "query", "teacher"])
def test_the_code_of_what_a_target_names_is_part_too(
    node: str, default: DictConfig, changed: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "my_own.py").write_text("A = 1")
    config = changed(default, {f"{node}._target_": "my_own.Something"})
    before = config_hash(config)
    (tmp_path / "my_own.py").write_text("A = 22")
    assert config_hash(config) != before


CONSTANTS = {"id": "CartPole-v1", "optimal": 500, "uniform": 21.878, "positive": 500.0, "negative": 8.717}


@pytest.mark.parametrize(
    ("changes", "constants", "known"),
    [
        ({}, {}, True),
        ({"env.termination": "neutral", "env.gamma": 0.9, "env.name": "mine", "env.replicates": 3}, {}, True),
        ({"env.demonstration_expert": "ppo", "env.feedback.segment_len": 3}, {}, True),
        ({"env.max_steps": 100}, {}, False),
        ({"env.max_steps": 100}, {"max_steps": 100}, True),
        ({}, {"max_steps": 100}, False),
        ({"env.kwargs": {"sutton_barto_reward": True}}, {}, False),
        ({"env.kwargs": {"a": [1, 2]}}, {"kwargs": {"a": [1, 2]}}, True),
        ({"env.id": "CartPole-v0"}, {}, False),
        ({"env.fixed_horizon": True}, {}, False),
        ({"env.perturbation.gravity": 0.0}, {}, False),
        ({"env.perturbation.gravity": 12}, {"perturbation": {"gravity": 12.0}}, True),
    ],
)
def test_constants_are_of_one_environment(
    changes: dict[str, Any], constants: dict[str, Any], known: bool, control: DictConfig, changed: Any
) -> None:
    config = changed(control, {"env.constants": {**CONSTANTS, **constants}, **changes})
    expected = {"optimal": 500, "uniform": 21.878} if known else {"optimal": None, "uniform": None}
    assert plain(config.env)["normalization"] == expected
    assert plain(config.env)["baselines"]["positive"] == (500 if known else None)


@pytest.mark.parametrize(("wrappers", "known"), [("[FlattenObservation]", False), ("[]", True)])
def test_a_setting_that_constants_do_not_know_makes_another_environment(
    wrappers: str, known: bool, composed: Any
) -> None:
    config = composed("env=cartpole_v1", f"++env.wrappers={wrappers}")
    assert (plain(config.env)["normalization"]["optimal"] is not None) == known


def test_a_number_that_is_given_is_of_whatever_environment(composed: Any) -> None:
    config = composed("env=cartpole_v1", "env.max_steps=100", "env.normalization.optimal=100")
    assert environment(config)["normalization"] == {"optimal": 100, "uniform": None}


def test_every_key_of_the_configuration_is_known_to_make_a_result_or_not(composed: Any) -> None:
    for env in ("grid_trap", "cartpole_v1"):
        assert unclassified(composed(f"env={env}")) == []
    assert unclassified(["seed", "nonsense"]) == ["nonsense"]


@pytest.mark.parametrize(
    ("overrides", "changed"),
    [
        (["env=grid_trap", "optim.lr=1", "env.termination=neutral", "++env.replicates=3"], False),
        (["env.threads=2"], False),
        (["env.samples.paper.stop=3", "env.demonstration_cap=3", "env.policy_steps=7"], False),
        (["env.size=4"], True),
        (["+env.perturbation.gravity=3"], True),
    ],
)
def test_what_changes_the_environment(overrides: list[str], changed: bool) -> None:
    assert changes_environment(overrides) is changed


@pytest.mark.parametrize(
    ("override", "execution"),
    [
        ("paths.runs=x", True),
        ("hydra/launcher=local", True),
        ("+task.sweep=a", True),
        ("optim.lr=1", False),
        ("~env.x", False),
    ],
)
def test_what_says_only_how_something_is_run(override: str, execution: bool) -> None:
    assert is_execution(override) is execution


def test_folds_make_the_result_where_there_is_a_folder(default: DictConfig, changed: Any) -> None:
    of_folder = changed(default, {"data.digest": "x"})
    hashes = {config_hash(changed(of_folder, {"data.folds": count})) for count in (0, 3, 5)}
    assert len(hashes) == 3
    assert config_hash(changed(default, {"data.folds": 3})) == config_hash(default)
    assert scientific(of_folder)["data"] == {"folder": None, "digest": "x", "folds": 5}
    assert "data" not in scientific(default)


def test_folds_reach_a_run_with_the_folder(default: DictConfig, changed: Any) -> None:
    assert RunSettings.from_config(default).folds == 0
    assert RunSettings.from_config(changed(default, {"data.digest": "x", "data.folds": 3})).folds == 3
