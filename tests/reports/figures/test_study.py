"""Figures of a search."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mavrl.reports.figures.save import save_figure
from mavrl.reports.figures.study import allocation_figure, history_figure, importance_figure, study_figures
from mavrl.search.record import StudyRecord, TrialRecord


def study(values: list[float | None], direction: str = "minimize", budget: int | None = 8) -> StudyRecord:
    """Trial k gives k ratings and the rest preferences; None is a failed trial."""
    trials = tuple(
        TrialRecord(
            k, "failed" if value is None else "completed", value, {}, {"preference": 8 - k, "rating": k, "stop": 0},
            [], {}, None, None, None, None, None,
        )
        for k, value in enumerate(values)
    )  # fmt: skip
    space: dict[str, Any] = {"parameters": {}, **({"budget": budget} if budget else {})}
    return StudyRecord("mine/grid_trap/pr", "grid_trap", "pr", "regret", direction, space, {}, [], trials)


def _lines(figure: Any) -> dict[str, Any]:
    return {line.get_label(): line for line in figure.axes[0].lines}


@pytest.mark.parametrize(("direction", "best"), [("minimize", [3, 3, 1, 1]), ("maximize", [3, 4, 4, 4])])
def test_history_shows_values_the_best_so_far_and_failures(direction: str, best: list[float]) -> None:
    lines = _lines(history_figure(study([3.0, None, 4.0, 1.0, 2.0], direction)))
    assert list(lines["trial"].get_xdata()) == [0, 2, 3, 4]
    assert list(lines["trial"].get_ydata()) == [3, 4, 1, 2]
    assert list(lines["best so far"].get_ydata()) == best
    assert list(lines["failed"].get_xdata()) == [1]


def test_allocation_shows_each_kind_coloured_by_value_and_the_best() -> None:
    figure = allocation_figure(study([3.0, None, 4.0, 1.0]))
    points = figure.axes[0].collections[0]
    offsets = np.asarray(points.get_offsets())
    assert [label.get_text() for label in figure.axes[0].get_xticklabels()] == ["preferences", "ratings"]
    pairs = {(round(x), y, value) for (x, y), value in zip(offsets, np.asarray(points.get_array()), strict=True)}
    assert pairs == {(0, 8, 3), (1, 0, 3), (0, 6, 4), (1, 2, 4), (0, 5, 1), (1, 3, 1)}
    best = _lines(figure)["best, trial 3"]
    assert list(best.get_ydata()) == [5, 3]
    assert best.get_linestyle() == "None"  # kinds have no order that a line could follow


def test_importances_have_the_largest_at_the_top() -> None:
    axes = importance_figure({"optim.lr": 0.7, "share.rating": 0.3}, "mine").axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["share.rating", "optim.lr"]
    assert [text.get_text() for text in axes.texts] == ["30 %", "70 %"]


def test_only_figures_with_something_to_show_are_made(tmp_path: Path) -> None:
    few = "not computed"
    assert study_figures(study([None]), few) == {}
    assert set(study_figures(study([1.0], budget=None), few)) == {"history"}
    figures = study_figures(study([1.0, 1.0]), {"optim.lr": 1.0})
    assert set(figures) == {"history", "allocation", "simplex", "importances"}
    for name, figure in figures.items():
        save_figure(figure, tmp_path / f"{name}.png")
        assert (tmp_path / f"{name}.png").stat().st_size > 5000
