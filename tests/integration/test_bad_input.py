"""Bad input: exit status 2, one line that names key, value and what is allowed, and nothing written."""

from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.integration

CASES = {
    "env=grid_trapp": ("env=grid_trapp", "grid_trap", "grid_cliff"),
    "modality=pdsr": ("modality=pdsr", "pdrs"),
    "modality=x": ("modality=x", "allowed are"),
    "modality=sp": ("modality=sp", "did you mean ps?"),
    "env.sise=4": ("env.sise=4", "env.size"),
    "feedback.prefernce.n_samples=3": ("feedback.prefernce.n_samples=3", "feedback.preference.n_samples"),
    "modality=p feedback.preference.n_samples=0": ("modality=p", "no feedback is active", "n_samples"),
    "feedback.rating.n_samples=-1": ("feedback.rating.n_samples=-1", "from 0"),
    "feedback.rating.n_samples=99999999999": ("feedback.rating.n_samples=99999999999", "1000000"),
    "feedback.stop.segment_len=51": ("feedback.stop.segment_len=51", "at most 50"),
    "feedback.preference.n_episodes=2 feedback.preference.n_samples=51": (
        "feedback.preference.n_samples=51", "102", "100"
    ),
    "env.gamma=1.0": ("env.gamma=1.0", "[0, 1)"),
    "env.gamma=-0.5": ("env.gamma=-0.5", "[0, 1)"),
    "env.p_rand=1.5": ("env.p_rand=1.5", "[0, 1]"),
    "env.size=2": ("env.size=2", "from 3"),
    "model.hidden_sizes=[]": ("model.hidden_sizes=[]", "at least one"),
    "replicates=0": ("replicates=0", "from 1"),
    "seed=abc": ("seed=abc", "whole number"),
    "model.objective=elb": ("model.objective=elb", "elbo, weighted"),
    "task=evaluate run_dir=nowhere": ("run_dir=nowhere", "finished run"),
    "task=trian": ("task=trian", "train"),
    "env.size=": ("env.size=", "from 3"),
    "env.size": ("env.size",),
    "selection=best": ("selection=best", "trainer.validation=true"),
}  # fmt: skip


CONTROL_CASES = {
    "policy=dqn": ("policy=dqn", "task=expert"),
    "policy=exact": ("policy.name=exact", "ppo, imitation"),
    "policy=imitation modality=pr": ("policy=imitation", "needs demonstrations"),
    "policy.batch_size=9999": ("policy.batch_size=9999", "must be at most policy.n_envs * policy.n_steps"),
    "policy.learning_rate=linear": ("policy.learning_rate=linear", "lin_3e-4"),
    "policy.reward=lower": ("policy.reward=lower", "lower_bound"),
    "policy.kapa=1": ("policy.kapa=1", "did you mean policy.kappa?"),
    "model.q=planned": ("model.q=planned", "must be one of learned"),
    "model.reward_domain=x": ("model.reward_domain=x", "s, sa, sas"),
    "env.normalization.optimal=much": ("env.normalization.optimal=much", "must be a number"),
    "env.kwargs=3": ("env.kwargs=3", "mapping"),
    "env.id=CartPole-v7": ("env.id=CartPole-v7", "CartPole-v1"),
    "env.id=Acrobot-v1": ("env.id=Acrobot-v1", "the environment 6 and 3"),
    "env.perturbation.gravity=-1": ("env.perturbation.gravity=-1", "0 to 98"),
    "env.size=4": ("env.size=4", "no such key"),
    "feedback.preference.segment_len=32 env.max_steps=20": ("feedback.preference.segment_len=32", "at most 20"),
}  # fmt: skip


def _check(outcome: Any, app: Any, words: tuple[str, ...]) -> None:
    assert outcome.status == 2, outcome.err
    lines = outcome.err.splitlines()
    assert len(lines) == 1, outcome.err
    assert lines[0].startswith("error: ")
    for word in words:
        assert word in lines[0], lines[0]
    assert "Traceback" not in outcome.err
    assert {path.name for path in app.directory.rglob("*") if path.is_file()} <= {"status.json", "config.json", ".lock"}


@pytest.mark.parametrize("command", CASES)
def test_bad_input_is_one_clear_line(command: str, fresh_app: Any) -> None:
    _check(fresh_app(*command.split()), fresh_app, CASES[command])


@pytest.mark.parametrize("command", CONTROL_CASES)
def test_bad_input_in_control_environments(command: str, fresh_app: Any, experts: Path) -> None:
    outcome = fresh_app("env=cartpole_v1", f"paths.experts={experts}", *command.split(), tiny=False)
    _check(outcome, fresh_app, CONTROL_CASES[command])


@pytest.mark.parametrize(("wrong", "nearest"), [("env=grid_clif", "grid_cliff"), ("optim.lrr=1", "optim.lr")])
def test_the_nearest_name_is_suggested(wrong: str, nearest: str, fresh_app: Any) -> None:
    outcome = fresh_app(wrong)
    assert outcome.status == 2
    assert f"did you mean {nearest}?" in outcome.err


def test_segments_longer_than_any_simulated_episode(fresh_app: Any) -> None:
    """Without a time limit only the simulation can tell."""
    command = ("modality=r", "env.max_steps=null", "feedback.rating.segment_len=90000", "feedback.rating.n_episodes=2")
    outcome = fresh_app(*command, "env.size=3")
    assert outcome.status == 2
    (line,) = outcome.err.splitlines()
    assert "feedback.rating.segment_len=90000: at most" in line


def test_help_is_readable(fresh_app: Any) -> None:
    outcome = fresh_app("--help", tiny=False)
    assert outcome.status == 0
    assert outcome.err == ""
    for group in ("env:", "modality:", "model:", "trainer:", "logger:", "experiment:", "task:"):
        assert group in outcome.out
    for word in ("grid_trap", "pdrs", "reference", "tensorboard", "rerun=true", "feedback.<kind>.n_samples"):
        assert word in outcome.out
    lines = outcome.out.splitlines()
    prose = [line for line in lines if not line.startswith("task: ")]  # Hydra prints a group on one line
    assert max(map(len, prose)) <= 130
    assert not [line for line in lines if line.startswith("hydra/")]  # groups of Hydra's own
