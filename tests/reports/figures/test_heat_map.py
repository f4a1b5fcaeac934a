"""A table of results as colours."""

import numpy as np
import pytest

from mavrl.metrics import METRICS
from mavrl.reports.figures.heat_map import table_figure
from mavrl.reports.table import Entry, Line, Section

LINES = (
    Line("grid_trap", "ours", {"p": Entry(90.0, 1.25), "dr": Entry(10.0, searched=True)}),
    Line("published", "published", {"p": Entry(50.0)}),
    Line("grid_cliff", "ours", {"p": Entry(70.0, 2.0)}),
)


@pytest.mark.parametrize("metric", ["normalized_return", "epic_distance"])
def test_a_cell_for_each_result_with_its_error(metric: str) -> None:
    (axes,) = table_figure(Section(METRICS[metric], LINES), ("p", "dr"), "a table").axes
    digits = METRICS[metric].digits
    words = [f"{90:.{digits}f}\n±{1.25:.{digits}f}", f"{10:.{digits}f}†", f"{70:.{digits}f}\n±{2:.{digits}f}"]
    assert [text.get_text() for text in axes.texts] == words
    assert [label.get_text() for label in axes.get_yticklabels()] == ["grid_trap", "grid_cliff"]
    colours = [text.get_color() for text in axes.texts]  # white on dark, which is what is bad
    assert colours[:2] == (["black", "white"] if metric == "normalized_return" else ["white", "black"])
    mesh = np.ma.asarray(axes.collections[0].get_array())
    assert np.ma.getmaskarray(mesh).ravel().tolist() == [False, False, False, True]
