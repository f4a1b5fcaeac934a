"""The figures of a run: drawn from its directory, and never the end of it."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure

from mavrl.configuration.composition import compose
from mavrl.configuration.settings import RunSettings
from mavrl.families.base import Family, family_of
from mavrl.families.grid.family import Grid
from mavrl.training import drawing
from mavrl.training.drawing import draw, run_drawings, wanted
from mavrl.training.fresh import SAMPLES, FreshSegments
from mavrl.training.run import run
from mavrl.workers import Workers

SMALL = (
    "env.size=4", "env.max_steps=50", "replicates=2", "trainer.max_epochs=2", "trainer.passes_per_epoch=2",
    "feedback.preference.n_samples=8", "feedback.stop.n_samples=8", "paths.cache=null", "processes=1", "figures=none",
)  # fmt: skip
Made = tuple[RunSettings, Family, Path, Mapping[str, Any]]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """A finished run of preferences and stops, without a figure."""
    directory = tmp_path_factory.mktemp("run")
    settings = RunSettings.from_config(compose(*SMALL, "modality=ps"))
    result = run(settings, directory)
    assert not (directory / "figures").exists()
    return settings, family_of(settings, Workers(1)), directory, result


@pytest.mark.filterwarnings("ignore")
class TestDrawing:
    def test_all_that_a_run_has(self, made: Made):
        names = {"rewards", "value", "occupancy", "coverage", "losses", "reliability", "segment_returns"}
        drawings = run_drawings(*made)
        assert set(drawings) == names
        assert all(isinstance(drawing(), Figure) for drawing in drawings.values())

    def test_one_alone(self, made: Made):
        settings, family, directory, result = made
        written = draw(settings, family, directory, result, ["coverage"])
        assert [path.name for path in written] == ["coverage.png", "coverage.pdf"]
        assert {path.name for path in (directory / "figures").iterdir()} == {"coverage.png", "coverage.pdf"}
        assert draw(settings, family, directory, result, []) == []

    def test_not_for_print(self, made: Made):
        settings, family, directory, result = made
        written = draw(settings, family, directory, result, ["value"], pdf=False)
        assert [path.name for path in written] == ["value.png"]
        assert not (directory / "figures" / "value.pdf").exists()

    def test_what_goes_wrong_is_a_line(self, made: Made, monkeypatch: pytest.MonkeyPatch, caplog: Any):
        settings, family, directory, result = made

        def fails(*arguments: Any) -> Figure:
            raise RuntimeError("no\ncolours")

        monkeypatch.setattr(drawing, "loss_figure", fails)
        written = draw(settings, family, directory, result, ["losses", "coverage"])
        assert [path.name for path in written] == ["coverage.png", "coverage.pdf"]
        (record,) = caplog.records
        assert record.getMessage() == f"the figure losses of {directory} is left out: RuntimeError: no colours"
        monkeypatch.setattr(drawing, "run_drawings", fails)
        assert draw(settings, family, directory, result) == []
        assert "no figures of" in caplog.records[-1].getMessage()

    def test_the_result_is_known_before_anything_is_drawn(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
        order: list[str] = []
        monkeypatch.setattr("mavrl.training.run.draw", lambda *arguments, **named: order.append("drawn"))
        settings = RunSettings.from_config(compose(*SMALL, "modality=d"))
        result = run(settings, tmp_path, known=lambda content: order.append(content["env"]))
        assert order == [result["env"], "drawn"]

    def test_losses_of_the_last_round(self, made: Made, tmp_path: Path):
        settings, family, directory, result = made
        for number, epochs in enumerate((3, 2)):
            place = tmp_path / "rounds" / str(number) / "metrics.csv"
            place.parent.mkdir(parents=True)
            rows = [f"{k},{k},{10 - k}" for k in range(epochs)]
            place.write_text("\n".join(["epoch,step,train/loss", *rows]) + "\n")
        (tmp_path / "reward_model").symlink_to(directory / "reward_model")
        figure = run_drawings(settings, family, tmp_path, result)["losses"]()
        assert figure is not None
        assert np.asarray(figure.axes[0].lines[0].get_ydata(), dtype=float).tolist() == [10, 9]
        assert "round 2" in figure.get_suptitle()

    def test_held_out_labels_and_rounds_where_there_are_some(self, made: Made):
        settings, family, directory, result = made
        bins = [{"low": 0.5, "high": 0.6, "count": 4, "predicted": 0.55, "observed": 0.5}]
        kind = {"better": True, "mean": {"gain": 0.1, "calibration_error": 0.05}, "stderr": {}, "reliability": bins}
        rows = [{"round": 1.0, "labels_stop": 4.0, "normalized_return": 10.0}]
        more = {**result, "held_out": {"kinds": {"preference": kind}}, "rounds": rows}
        drawings = run_drawings(settings, family, directory, more)
        assert {"held_out", "rounds"} <= set(drawings)
        reliability = drawings["reliability"]()
        assert reliability is not None
        assert "held-out" in reliability.get_suptitle()


@pytest.mark.filterwarnings("ignore")
class TestFreshSegments:
    def test_they_are_the_same_whenever_they_are_drawn(self, made: Made):
        settings, _, directory, _ = made
        first, second = (FreshSegments(settings, family_of(settings, Workers(1)), directory) for _ in range(2))
        assert first.predicted() == second.predicted()
        returns = first.returns(), second.returns()
        assert returns[0] is not None
        assert returns[1] is not None
        assert np.array_equal(returns[0].mean, returns[1].mean)
        assert np.array_equal(returns[0].true, returns[1].true)

    def test_preferences_of_all_replicates_are_predicted(self, made: Made):
        found = FreshSegments(*made[:3]).predicted()
        assert found is not None
        kind, bins, error = found
        assert kind == "preference"
        assert sum(row["count"] for row in bins) == 2 * SAMPLES
        assert 0 <= error < 0.5

    def test_stops_where_there_are_no_preferences(self, made: Made):
        settings, family, directory, _ = made
        alone = replace(settings, feedback={"stop": settings.feedback["stop"]})
        found = FreshSegments(alone, family, directory).predicted()
        assert found is not None
        assert found[0] == "stop"
        none = replace(settings, feedback={})
        assert FreshSegments(none, family, directory).predicted() is None

    def test_no_other_teacher_is_asked_and_nothing_is_kept(self, made: Made, tmp_path: Path):
        settings, family, directory, _ = made
        kept = replace(settings, execution=replace(settings.execution, cache=str(tmp_path / "cache")))
        assert FreshSegments(kept, family, directory).predicted() is not None
        assert not (tmp_path / "cache").exists()
        crowd = {
            "_target_": "mavrl.feedback.teachers.CrowdTeacher", "good": 2, "random": 0, "reversed": 0, "tie": 0.0,
            "lag": 0.0, "categories": [],
        }  # fmt: skip
        several = FreshSegments(replace(settings, teacher=crowd), family, directory)
        assert several.predicted() is None
        assert several.returns() is not None

    def test_returns_are_sums_over_real_steps(self, made: Made):
        settings, family, directory, _ = made
        found = FreshSegments(settings, family, directory).returns()
        assert found is not None
        assert found.true.shape == found.mean.shape == found.std.shape == (SAMPLES,)
        assert found.length == settings.feedback["preference"]["segment_len"]
        assert isinstance(family, Grid)
        rewards = family.problem.reward[0]
        assert found.true.min() >= found.length * float(rewards.min())
        assert found.true.max() <= found.length * float(rewards.max())
        assert (found.std > 0).all()


@pytest.mark.parametrize(
    ("figures", "alone", "expected"),
    [
        ("auto", True, None), ("auto", False, ("rewards", "held_out")), ("all", False, None),
        ("one", True, ("rewards", "held_out")), ("none", True, ()),
    ],
)  # fmt: skip
def test_which_figures_a_run_draws(figures: Any, alone: bool, expected: Any, made: Made) -> None:
    assert wanted(figures, alone, made[1]) == expected
