"""Runs that are repeated from their config.json are the same runs."""

from typing import Any

import pytest

from mavrl.configuration.identity import config_hash, scientific
from mavrl.configuration.plain import plain
from mavrl.sweep.repetition import overrides_of

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
    stored = {
        **scientific(config),
        "feedback": {kind: {"n_samples": 0} for kind in config.feedback} | scientific(config)["feedback"],
        "choices": {name: config[name].name for name in ("env", "modality", "policy")}
        | dict.fromkeys(("model", "optim", "trainer"), "control" if config.env.family == "control" else "default"),
        "overrides": list(arguments),
    }
    repeated = composed(*overrides_of(stored))
    assert config_hash(repeated) == config_hash(config)
    assert plain(repeated.env)["name"] == config.env.name


def test_values_are_written_for_a_command_line() -> None:
    choices = dict.fromkeys(("env", "modality", "model", "optim", "trainer", "policy"), "x")
    values = {"a": {"b": None, "c": True, "_target_": "x"}, "d": [1, "e"], "f": {"g": {}}, "evaluation_episodes": 3}
    lines = overrides_of({**values, "choices": choices, "overrides": ["seed=1"]})
    assert lines[6:] == ["++a.b=null", "++a.c=true", '++d=[1,"e"]', "++f.g={}", "++evaluation.episodes=3"]
