"""The figure of held-out labels."""

from pathlib import Path
from typing import Any

import numpy as np

from mavrl.reports.figures.held_out import held_out_figure
from mavrl.reports.figures.save import save_figure

BINS = [
    {"low": 0.1, "high": 0.2, "count": 30, "predicted": 0.15, "observed": 0.2},
    {"low": 0.8, "high": 0.9, "count": 3, "predicted": 0.85, "observed": 1.0},
]


def _kind(gain: float, better: bool, **more: Any) -> dict[str, Any]:
    return {"better": better, "mean": {"gain": gain}, "stderr": {"gain": 0.05}, **more}


def test_gains_with_their_errors_and_a_curve_with_its_counts(tmp_path: Path) -> None:
    kinds = {"preference": _kind(0.3, True, reliability=BINS), "stop": _kind(-0.1, False)}
    figure = held_out_figure(kinds)
    gains, curve = figure.axes
    drawn = [np.asarray(line.get_xdata(), dtype=float).tolist() for line in gains.lines if line.get_marker() in "oX"]
    assert drawn == [[0.3], [-0.1]]
    assert [label.get_text() for label in gains.get_yticklabels()] == ["preference", "stop"]
    assert curve.get_title(loc="left") == "preferences; bars: how many of 33 labels"
    assert np.asarray(curve.collections[-1].get_offsets(), dtype=float)[:, 1].tolist() == [0.2, 1.0]
    save_figure(figure, tmp_path / "figures" / "held_out.png")
    assert (tmp_path / "figures" / "held_out.png").stat().st_size > 10_000


def test_other_kinds_have_no_curve() -> None:
    assert len(held_out_figure({"rating": {**_kind(0.1, False), "stderr": {}}}).axes) == 1
