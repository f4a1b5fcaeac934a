"""Histograms of ranks."""

import numpy as np

from mavrl.reports.figures.ranks import rank_figure


def test_a_panel_for_each_kind_with_what_is_flat() -> None:
    counts = np.array([40, 10, 10, 40])
    figure = rank_figure({"stop": {"ours": counts, "exact": np.full(4, 25)}, "rating": {"ours": counts}}, "a title")
    first, second = figure.axes
    assert [axes.get_title(loc="left") for axes in (first, second)] == ["stop", "rating"]
    mean, ours, exact = first.lines
    assert set(mean.get_ydata()) == {25}
    assert ours.get_ydata().tolist() == [40, 10, 10, 40]
    assert ours.get_xdata().tolist() == [0.125, 0.375, 0.625, 0.875]
    assert exact.get_ydata().tolist() == [25] * 4
    band = first.patches[0].get_bbox()
    half = 2.576 * np.sqrt(100 * 0.25 * 0.75)
    assert np.allclose([band.y0, band.y1], [25 - half, 25 + half])
