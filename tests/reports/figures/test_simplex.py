"""Divisions of samples as points of a simplex."""

from typing import Any

import numpy as np
import pytest

from mavrl.reports.figures.simplex import corners, simplex_figure

KINDS = ["preference", "demonstration", "rating", "stop"]


def _star(axes: Any) -> np.ndarray:
    (line,) = (line for line in axes.lines if line.get_marker() == "*")
    return np.array([line.get_xdata()[0], line.get_ydata()[0]])


@pytest.mark.parametrize("count", [2, 3, 4])
@pytest.mark.parametrize("minimize", [True, False])
def test_points_lie_between_the_corners_and_the_best_is_a_star(count: int, minimize: bool) -> None:
    shares = np.vstack([np.eye(count), np.full((1, count), 1 / count)])
    values = np.arange(count + 1.0)
    figure = simplex_figure(shares, values, KINDS[:count], "regret", minimize, "a study")
    views = [axes for axes in figure.axes if axes.texts]
    assert len(views) == (2 if count == 4 else 1)
    assert [text.get_text() for text in views[0].texts] == [f"{kind}s" for kind in KINDS[:count]]
    points = np.asarray(views[0].collections[0].get_offsets())
    assert len(points) == count + 1
    best = 0 if minimize else count
    assert np.allclose(_star(views[0]), points[-1])  # the best is drawn last
    middle = points[np.flatnonzero(np.argsort(-values if minimize else values) == count)[0]]
    others = np.delete(points, np.flatnonzero(np.all(points == middle, axis=1)), axis=0)
    assert np.allclose(middle, others.mean(0))
    assert ("100 % preference" in figure.get_suptitle()) == (best == 0)


def test_a_triangle_has_equal_sides_and_two_views_of_a_tetrahedron_differ() -> None:
    places = corners(3)
    sides = [np.linalg.norm(places[k] - places[k - 1]) for k in range(3)]
    assert np.allclose(sides, 1)
    assert not np.allclose(corners(4, 0.3), corners(4, 1.9))


def test_other_numbers_of_kinds_are_refused() -> None:
    with pytest.raises(ValueError, match="2 to 4"):
        simplex_figure(np.ones((1, 1)), np.ones(1), ["stop"], "regret", True, "a study")
