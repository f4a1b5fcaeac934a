"""Figures of grids besides their rewards: values, occupancy, panels of all subsets."""

from typing import Any

import numpy as np
import pytest
from matplotlib.collections import QuadMesh
from matplotlib.figure import Figure

from mavrl.reports.figures.occupancy import occupancy_figure
from mavrl.reports.figures.panels import panel_figure
from mavrl.reports.figures.value import value_figure

STATES = np.arange(9)


def _panels(figure: Figure) -> list[Any]:
    return [axes for axes in figure.axes if axes.get_title(loc="left")]


def _values(axes: Any) -> np.ndarray:
    (mesh,) = (each for each in axes.collections if isinstance(each, QuadMesh))
    return np.ma.filled(np.ma.asarray(mesh.get_array(), dtype=float), np.nan).ravel()


def test_both_values_in_the_same_colours() -> None:
    figure = value_figure(STATES + 1.0, STATES + 0.5, STATES % 5, STATES % 5, "a title")
    left, right = _panels(figure)
    assert np.allclose(_values(left), STATES + 1)
    assert np.allclose(_values(right), STATES + 0.5)
    norms = [axes.collections[0].norm for axes in (left, right)]
    assert [(norm.vmin, norm.vmax) for norm in norms] == [(0.5, 9.0)] * 2
    assert "lacks 0.5 " in right.get_xlabel()
    assert left.yaxis_inverted()


def test_shares_of_each_kind_and_no_colour_where_nothing_was_seen() -> None:
    visits = {"preference": np.array([0, 3, 1, 0, 0, 0, 0, 0, 0]), "stop": np.full(9, 2)}
    first, second = _panels(occupancy_figure(visits, "a title"))
    assert [axes.get_title(loc="left") for axes in (first, second)] == ["preference", "stop"]
    assert np.allclose(_values(first), [np.nan, 0.75, 0.25, *[np.nan] * 6], equal_nan=True)
    assert np.allclose(_values(second), 1 / 9)
    assert first.get_xlabel() == "4 steps in\n2 of 9 states"


@pytest.mark.parametrize("count", [1, 5])
def test_a_panel_for_each_subset_and_one_for_the_truth(count: int) -> None:
    learned = {f"subset {k}": np.linspace(-k, 1, 9) for k in range(count)}
    figure = panel_figure(np.linspace(-4, 1, 9), learned, {"subset 0": "good"}, "a title")
    shown = [axes for axes in figure.axes if axes.get_visible()]
    assert [axes.get_title(loc="left") for axes in shown] == ["true reward", *learned]
    assert np.allclose(_values(shown[-1]), np.linspace(1 - count, 1, 9))
    assert shown[0].get_xlabel() == "from -4 to 1"
    assert shown[1].get_xlabel().endswith("\ngood")
