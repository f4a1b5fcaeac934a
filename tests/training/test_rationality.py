"""Runs in which rationality is learned: what they say of it, and that it is learned wherever rewards are."""

from pathlib import Path

import pytest

from mavrl.configuration.composition import compose
from mavrl.configuration.settings import RunSettings
from mavrl.model.reward_model import find_reward_model
from mavrl.reports.run_tables import run_facts
from mavrl.storage.contents import _METRICS, fits
from mavrl.training.run import run

KINDS = ["preference", "demonstration", "rating", "stop"]
SMALL = ("env=grid_trap", "env.size=4", "env.max_steps=50", "paths.cache=null", "replicates=2", "figures=none")
FEW = (*SMALL, "members=2", "trainer.max_epochs=2", "trainer.passes_per_epoch=2", "feedback.demonstration.n_samples=1",
       *(f"feedback.{kind}.n_samples=20" for kind in ("preference", "rating", "stop")))  # fmt: skip


def test_what_was_learned_of_each_kind_is_told(tmp_path: Path) -> None:
    result = run(RunSettings.from_config(compose(*FEW, "learn_rationality=true")), tmp_path)
    assert fits(result, _METRICS)
    assert list(result["rationality"]) == KINDS
    for found in result["rationality"].values():
        assert 0 < found["low"] < found["median"] < found["high"]
        assert len(found["each"]) == 2
    assert find_reward_model(tmp_path)[1]["rationality"] == result["rationality"]
    curves = (tmp_path / "metrics.csv").read_text().splitlines()[0].split(",")
    assert {f"train/{kind}/teacher_kl" for kind in KINDS} <= set(curves)
    assert run_facts(result)["learned rationality"].startswith("preference ")


def test_of_what_is_given_there_is_nothing_to_say(tmp_path: Path) -> None:
    assert "rationality" not in run(RunSettings.from_config(compose(*FEW)), tmp_path)


def test_it_is_learned_of_one_kind_beside_others_and_with_the_weighted_objective(tmp_path: Path) -> None:
    words = ("feedback.rating.learn_rationality=true", "model.objective=weighted")
    assert list(run(RunSettings.from_config(compose(*FEW, *words)), tmp_path)["rationality"]) == ["rating"]


def test_questions_may_be_asked_in_rounds_and_by_several(tmp_path: Path) -> None:
    words = ("task=online", "rounds.count=2", "query=information_gain", "query.samples=8", "learn_rationality=true")
    crowd = ("modality=pd", "teacher=crowd", "teacher.good=2", "teacher.random=0", "feedback.preference.n_episodes=8")
    result = run(RunSettings.from_config(compose(*FEW, *words, *crowd)), tmp_path)
    assert list(result["rationality"]) == ["preference", "demonstration"]
    assert len(result["annotators"]) == 2
    assert len(result["rounds"]) == 2


@pytest.mark.slow
def test_preferences_that_say_nothing_are_not_heeded_beside_ratings(tmp_path: Path) -> None:
    words = (
        "modality=pr",
        "feedback.preference.n_samples=100",
        "feedback.rating.n_samples=200",
        "learn_rationality=true",
    )
    found = {}
    for teacher in ("simulated", "wrong_preferences"):
        result = run(RunSettings.from_config(compose(*SMALL, *words, f"teacher={teacher}")), tmp_path / teacher)
        found[teacher] = result["rationality"]
    right, wrong = (found[teacher]["preference"]["median"] for teacher in ("simulated", "wrong_preferences"))
    assert wrong < 0.2 * right
