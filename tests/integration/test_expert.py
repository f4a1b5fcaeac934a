"""Experts: trained on their own, on demand, and told of."""

from typing import Any

import numpy as np
import pytest

from mavrl.policies.network import NetworkPolicy
from mavrl.storage.files import read_json

pytestmark = pytest.mark.integration

QUICK = {
    "dqn": (
        "env.experts.dqn.total_steps=400",
        "env.experts.dqn.learning_starts=50",
        "env.experts.dqn.hidden_sizes=[8]",
    ),
    "ppo": ("env.experts.ppo.total_steps=512", "env.experts.ppo.hidden_sizes=[8]", "env.experts.ppo.n_epochs=2"),
}


def _train(app: Any, algorithm: str, *arguments: str, **variables: str) -> Any:
    plain = ("task=expert", "env=cartpole_v1", "env.max_steps=30", f"policy={algorithm}", *QUICK[algorithm])
    return app(*plain, *arguments, tiny=False, **variables)


@pytest.mark.parametrize("algorithm", ["dqn", "ppo"])
def test_it_is_written_with_a_card(algorithm: str, fresh_app: Any) -> None:
    outcome = _train(fresh_app, algorithm, "seed=3")
    assert outcome.status == 0, outcome.err
    assert outcome.err == ""
    directory = fresh_app.directory / "experts" / "cartpole_v1" / algorithm
    assert outcome.run == directory.relative_to(fresh_app.directory)
    assert {path.name for path in directory.iterdir()} == {"policy.safetensors", "card.json"}
    assert {path.name for path in fresh_app.directory.iterdir()} == {"experts"}
    card = read_json(directory / "card.json")
    assert (card["env"], card["algorithm"], card["seed"], card["episodes"]) == ("cartpole_v1", algorithm, 3, 100)
    assert 8 <= card["return_mean"] <= 30
    assert f"return {card['return_mean']:.1f} +- {card['return_std']:.1f} over 100 episodes" in outcome.out
    assert card["command"].startswith("python run.py task=expert env=cartpole_v1")
    assert card["versions"].keys() >= {"mavrl", "stable-baselines3", "gymnasium", "torch"}
    policy = NetworkPolicy.load(directory)
    assert policy.act(np.zeros((2, 4), dtype=np.float32)).shape == (2,)
    _refuses_to_overwrite(fresh_app, algorithm, directory)


def _refuses_to_overwrite(app: Any, algorithm: str, directory: Any) -> None:
    before = (directory / "policy.safetensors").read_bytes()
    again = _train(app, algorithm, "seed=4")
    assert again.status == 2
    (line,) = again.err.splitlines()
    assert "holds an expert already; rerun=true replaces it" in line
    assert (directory / "policy.safetensors").read_bytes() == before
    if algorithm == "ppo":
        replaced = _train(app, algorithm, "seed=4", "rerun=true")
        assert replaced.status == 0, replaced.err
        assert (directory / "policy.safetensors").read_bytes() != before


def test_progress_is_shown(fresh_app: Any) -> None:
    outcome = _train(fresh_app, "ppo", "progress=true", TQDM_DISABLE="")
    assert outcome.status == 0, outcome.err
    assert "ppo expert" in outcome.err
    assert "512/512" in outcome.err
    assert "true_return=" in outcome.err


def test_one_that_is_missing_is_trained_by_the_main_job(fresh_control_app: Any) -> None:
    outcome = fresh_control_app(
        "env.name=cartpole_short",
        "paths.experts=here",
        "modality=r",
        "replicates=1",
        *QUICK["dqn"],
        "env.normalization={optimal:60,uniform:20}",
    )
    assert outcome.status == 0, outcome.err
    (line,) = outcome.err.splitlines()
    assert "cartpole_short has no dqn expert yet; training one for 400 steps" in line
    assert "minutes and happens once: here/cartpole_short/dqn" in line
    assert (fresh_control_app.directory / "here" / "cartpole_short" / "dqn" / "card.json").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("env=grid_trap",), ("env=grid_trap", "optimal policy is planned")),
        (("env=cartpole_v1",), ("policy=imitation", "policy=dqn, sac, ppo")),
        (
            ("env=cartpole_v1", "policy=dqn", "env.experts.dqn.nonsense=3"),
            ("env.experts.dqn.nonsense=3", "no such key"),
        ),
        (("env=cartpole_v1", "policy=dqn", "+env.experts.dqn.nonsense=3"), ("env.experts.dqn=", "nonsense")),
        (
            ("env=cartpole_v1", "policy=dqn", "env.experts.dqn.learning_rate=fast"),
            ("env.experts.dqn.learning_rate=fast", "must be"),
        ),
        (("env=cartpole_v1", "policy=dqn", "env.fixed_horizon=true"), ("env.fixed_horizon=true", "leave it out")),
        (("env=cartpole_v1", "policy=dqn", "env.perturbation.gravity=3"), ("env.perturbation={'gravity': 3}",)),
        (("env=cartpole_v1", "policy=dqn", "env.experts=3"), ("env.experts=3", "must hold the settings")),
    ],
)
def test_what_cannot_be_done(arguments: tuple[str, ...], words: tuple[str, ...], fresh_app: Any) -> None:
    policy = () if "policy=dqn" in arguments or "env=grid_trap" in arguments else ("policy=imitation",)
    outcome = fresh_app("task=expert", *arguments, *policy, tiny=False)
    assert outcome.status == 2, outcome.out
    (line,) = outcome.err.splitlines()
    for word in words:
        assert word in line
    assert not list(fresh_app.directory.rglob("card.json"))
