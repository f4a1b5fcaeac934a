"""Figures that every run has."""

import numpy as np
import pytest

from mavrl.reports.figures.coverage import coverage_figure
from mavrl.reports.figures.losses import loss_figure
from mavrl.reports.figures.reliability import reliability_figure
from mavrl.reports.figures.segment_returns import segment_return_figure

BINS = [
    {"low": 0.1, "high": 0.2, "count": 30, "predicted": 0.15, "observed": 0.2},
    {"low": 0.8, "high": 0.9, "count": 3, "predicted": 0.85, "observed": 1.0},
]


def test_a_panel_for_each_term_the_loss_first() -> None:
    epochs, terms = np.arange(1.0, 4.0), ("kl", "loss", "stop/log_likelihood", "bellman", "preference/log_likelihood")
    train = {name: np.arange(3.0) + k for k, name in enumerate(terms)}
    figure = loss_figure(epochs, train, {"loss": np.array([5.0, np.nan, 7.0])}, "a run")
    shown = [axes for axes in figure.axes if axes.get_visible()]
    titles = [axes.get_title(loc="left") for axes in shown]
    likelihoods = ["preference: log-likelihood", "stop: log-likelihood"]
    assert titles == ["loss", *likelihoods, "bellman", "KL from the prior"]
    drawn = [np.asarray(line.get_ydata(), dtype=float).tolist() for line in shown[0].lines]
    assert drawn[0] == [1, 2, 3]
    assert drawn[1][::2] == [5, 7]
    assert len(shown[1].lines) == 1
    assert "dashed: validation" in figure.get_suptitle()


def test_the_first_epochs_do_not_press_the_others_flat() -> None:
    values = np.concatenate([[1e6, 1e5], np.linspace(10, 0, 98)])
    (axes,) = loss_figure(np.arange(1.0, 101), {"loss": values}, {}, "a run").axes
    assert axes.get_ylim()[1] < 1e6
    assert axes.get_xscale() == "log"


def test_reliability_has_points_and_says_the_error_and_how_many() -> None:
    (axes,) = reliability_figure({"preference": BINS}, {"preference": 0.0682}, "a run").axes
    points = np.asarray(axes.collections[-1].get_offsets(), dtype=float)
    assert np.allclose(points, [[0.15, 0.2], [0.85, 1.0]])
    assert axes.get_title(loc="left") == "preference: calibration error 0.068\nbars: how many of 33 labels"
    heights = [bar.get_height() for bar in axes.patches]  # type: ignore[attr-defined]
    assert heights == pytest.approx([0.25, 0.025])


@pytest.mark.parametrize(("replicates", "label"), [(1, "found"), (3, "mean")])
def test_coverage_is_the_mean_in_the_range_of_the_replicates(replicates: int, label: str) -> None:
    levels = np.linspace(0.1, 0.9, 5)
    coverage = levels + 0.05 * np.arange(replicates)[:, None]
    (axes,) = coverage_figure(levels, coverage, "states", "a run").axes
    lines = {line.get_label(): np.asarray(line.get_ydata(), dtype=float) for line in axes.lines}
    assert np.allclose(lines[label], coverage.mean(0))
    assert len(axes.collections) == (replicates > 1)


def test_segments_are_points_with_some_bars() -> None:
    true = np.arange(100.0)
    (axes,) = segment_return_figure(true, 2 * true, np.ones(100), 0.5, "100 segments", "a run").axes
    (points,) = (line for line in axes.lines if line.get_marker() == "o")
    assert np.allclose(points.get_ydata(), 2 * true)
    (bars,) = axes.collections
    segments = bars.get_segments()  # type: ignore[attr-defined]
    assert 10 < len(segments) < 100
    assert np.allclose(segments[0][:, 1], [-1, 1])
    assert "Spearman 0.50\n100 segments" in [text.get_text() for text in axes.texts]
