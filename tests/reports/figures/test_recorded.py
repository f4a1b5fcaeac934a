"""The figure of recorded episodes."""

from pathlib import Path

import numpy as np
import pytest

from mavrl.reports.figures.recorded import recorded_figure
from mavrl.reports.figures.save import save_figure

NUMBERS, LEARNED = np.array([0, 2, 4]), np.array([[1.0, 2.0, 3.0], [3.0, 2.0, 1.0]])


@pytest.mark.parametrize(
    ("true", "places", "label"),
    [(None, [0, 2, 4], "recorded episode, from 0"), ([5.0, 6.0, 7.0], [5, 6, 7], "mean true reward of the recorded")],
)
def test_a_point_for_each_episode(true: list | None, places: list, label: str, tmp_path: Path) -> None:
    figure = recorded_figure(NUMBERS, LEARNED, None if true is None else np.array(true), "x p")
    (axes,) = figure.axes
    points = axes.lines[0]
    assert np.asarray(points.get_xdata()).tolist() == places
    assert np.asarray(points.get_ydata()).tolist() == [2, 2, 2]
    assert axes.get_xlabel().startswith(label)
    (bars,) = axes.collections
    assert [segment[:, 1].tolist() for segment in bars.get_segments()] == [[1, 3], [2, 2], [1, 3]]  # type: ignore
    save_figure(figure, tmp_path / "figure.png")
    assert (tmp_path / "figure.png").stat().st_size > 1000


def test_one_replicate_has_no_range() -> None:
    (axes,) = recorded_figure(NUMBERS, LEARNED[:1], None, "x p").axes
    assert not axes.collections
    assert axes.get_legend() is None
