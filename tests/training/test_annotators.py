"""What a run says of its annotators."""

from pathlib import Path

import pytest

from mavrl.configuration.composition import compose
from mavrl.configuration.settings import RunSettings
from mavrl.model.reward_model import find_reward_model
from mavrl.storage.contents import _METRICS, fits
from mavrl.training.run import run

SMALL = ("env=grid_trap", "env.size=4", "env.max_steps=50", "paths.cache=null", "replicates=2", "members=2",
         "trainer.max_epochs=3", "trainer.passes_per_epoch=2", "feedback.demonstration.n_samples=1",
         *(f"feedback.{kind}.n_samples=30" for kind in ("preference", "rating", "stop")))  # fmt: skip
CROWD = ("teacher=crowd", "teacher.good=2", "teacher.random=1", "teacher.tie=0.5", "teacher.categories=[3,6]")


def test_each_annotator_has_labels_and_what_was_learned(tmp_path: Path) -> None:
    result = run(RunSettings.from_config(compose(*SMALL, *CROWD)), tmp_path)
    assert fits(result, _METRICS)
    annotators = result["annotators"]
    assert [each["name"] for each in annotators] == ["good 1", "good 2", "random 1"]
    for kind in ("preference", "rating", "stop"):
        assert sum(each["labels"].get(kind, 0) for each in annotators) == 30
    for each in annotators:
        for kind, names in (
            ("preference", ["reliability"]),
            ("rating", ["reliability"]),
            ("stop", ["rate", "lapse", "lag"]),
        ):
            found = each["learned"][kind]
            assert all(0 < found[name]["low"] < found[name]["median"] < found[name]["high"] for name in names)
        assert 0 < each["learned"]["preference"]["reliability_upright"] < 1
        assert each["learned"]["preference"]["tie"] > 0
    assert find_reward_model(tmp_path)[1]["annotators"] == annotators
    curves = (tmp_path / "metrics.csv").read_text().splitlines()[0].split(",")
    assert {f"train/{kind}/teacher_kl" for kind in ("preference", "rating", "stop")} <= set(curves)
    assert "train/demonstration/teacher_kl" not in curves


def test_of_one_simulated_teacher_there_is_nothing_to_say(tmp_path: Path) -> None:
    assert "annotators" not in run(RunSettings.from_config(compose(*SMALL)), tmp_path)


@pytest.mark.parametrize("kind", ["preference", "rating", "stop"])
def test_a_crowd_that_is_pooled_is_one_annotator(kind: str, tmp_path: Path) -> None:
    pooled = (f"modality={kind[0]}", f"feedback.{kind}.annotators=pooled", "teacher.tie=0", "teacher.categories=[5]")
    result = run(RunSettings.from_config(compose(*SMALL, *CROWD, *pooled)), tmp_path)
    assert [(each["name"], each["labels"]) for each in result.get("annotators", [])] == (
        [("everybody", {"stop": 30})] if kind == "stop" else []
    )


def test_the_weighted_objective_learns_of_them_too(tmp_path: Path) -> None:
    result = run(RunSettings.from_config(compose(*SMALL, *CROWD, "model.objective=weighted")), tmp_path)
    assert len(result["annotators"]) == 3


def test_a_crowd_may_be_asked_in_rounds(tmp_path: Path) -> None:
    words = ("task=online", "rounds.count=2", "query=information_gain", "query.samples=8", "modality=pr")
    segments = [f"feedback.{kind}.n_episodes=8" for kind in ("preference", "rating")]
    result = run(RunSettings.from_config(compose(*SMALL, *CROWD, *words, *segments)), tmp_path)
    assert sum(each["labels"]["preference"] for each in result["annotators"]) == 30
    assert len(result["rounds"]) == 2
