"""What more labels gave: rounds of questions, and budgets."""

import numpy as np
import pytest

from mavrl.reports.figures.budgets import budget_figure
from mavrl.reports.figures.rounds import Curve, curve_of, rounds_figure


def _rows(*returns: float) -> list[dict[str, float]]:
    return [
        {"round": k + 1.0, "labels_preference": 4.0, "labels_rating": 2.0, "normalized_return": x, "held_out_stop": -x}
        for k, x in enumerate(returns)
    ]


def test_labels_add_up_and_runs_of_one_rule_are_a_mean_with_its_error() -> None:
    curve = curve_of([_rows(10, 20), _rows(30, 40)], "normalized_return")
    assert curve.labels.tolist() == [6, 12]
    assert curve.mean.tolist() == [20, 30]
    assert curve.stderr.tolist() == pytest.approx([10, 10])
    alone = curve_of([_rows(10, 20)], "normalized_return")
    assert np.isnan(alone.stderr).all()


def test_a_line_for_each_rule_and_a_panel_for_each_quantity() -> None:
    runs = {"random": [_rows(10, 20), _rows(30, 40)], "information gain": [_rows(50, 60)]}
    figure = rounds_figure(runs, "a sweep")
    first, second = figure.axes
    titles = [axes.get_title(loc="left") for axes in (first, second)]
    assert titles == ["normalized return", "held-out stop, nats a label"]
    lines = {line.get_label(): np.asarray(line.get_ydata(), dtype=float).tolist() for line in first.lines}
    assert lines == {"random": [20, 30], "information gain": [50, 60]}
    assert len(first.collections) == 1  # one band
    assert len(figure.legends) == 1
    assert not rounds_figure({"": [_rows(1, 2)]}, "a run").legends


def test_rounds_that_say_nothing_are_refused() -> None:
    with pytest.raises(ValueError, match="no round"):
        rounds_figure({"random": [[{"round": 1.0, "labels_stop": 3.0}]]}, "a run")


def test_a_line_for_each_subset_over_its_budgets() -> None:
    one = Curve(np.array([8.0, 32.0]), np.array([50.0, 90.0]), np.array([5.0, 1.0]))
    metrics = ["normalized_return", "epic_distance"]
    curves = {"p": {"normalized_return": one, "epic_distance": one}, "r": {"normalized_return": one}}
    left, right = budget_figure(curves, metrics, "grid_trap").axes
    assert [line.get_label() for line in left.lines] == ["p", "r"]
    assert [line.get_label() for line in right.lines] == ["p"]
    assert left.get_xscale() == "log"
