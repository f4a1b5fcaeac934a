"""What makes a result, in one place: hash, record, repetition, and what changes an environment."""

from typing import Any

import pytest

from mavrl.configuration.identity import (
    changes_environment,
    config_hash,
    is_execution,
    recorded,
    repeating,
    unclassified,
)
from mavrl.configuration.plain import plain

CASES = [
    ("env=grid_trap",),
    ("env=grid_cliff", "modality=dr", "env.p_rand=0.1", "model.prior.scale=0.5", "model.hidden_sizes=[8,4]", "seed=7"),
    ("env=grid_trap", "experiment=[reference,small]", "feedback.stop.n_samples=0", "selection=best"),
    ("env=cartpole_v1", "env.perturbation.gravity=12", "policy.learning_rate=lin_3e-4", "policy.minibatches=4"),
    ("env=acrobot_v1", "policy=imitation", "modality=d"),
    ("env=lunar_lander_v3", "experiment=reference", "+env.kwargs={continuous: false, name: 'a b, c'}"),
]


@pytest.mark.parametrize("arguments", CASES)
def test_the_same_run(arguments: tuple[str, ...], composed: Any) -> None:
    config = composed(*arguments)
    family = "control" if config.env.family == "control" else "default"
    choices = {name: config[name].name for name in ("env", "modality", "policy")}
    choices |= {"query": "uniform", "teacher": "simulated"}
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
