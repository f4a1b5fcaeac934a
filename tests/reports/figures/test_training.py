"""The figure of true returns during training."""

from pathlib import Path

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from mavrl.reports.figures.save import save_figure
from mavrl.reports.figures.training import training_figure


@pytest.fixture
def curves(tmp_path: Path) -> list[Path]:
    """Two policies; the second was stopped early."""
    paths = []
    for number, returns in enumerate([(10.0, 30.0, 50.0), (20.0, 5.0)]):
        rows = [f"{1000 * k},{value},0.5" for k, value in enumerate(returns, 1)]
        paths.append(tmp_path / f"{number}.csv")
        paths[-1].write_text("\n".join(["step,true_return,seconds", *rows]) + "\n")
    return paths


def _axes(curves: list[Path], final: list[float]) -> Axes:
    (axes,) = training_figure(curves, final, 55.0, 2.0, "cartpole_v1 pdrs").axes
    return axes


def _points(line: Line2D) -> list[list[float]]:
    return [np.asarray(part, dtype=float).tolist() for part in line.get_data()]


def test_a_line_for_each_policy_and_what_it_is_compared_with(curves: list[Path]) -> None:
    axes = _axes(curves, [48.0, 6.0])
    one, two, kept, expert, uniform, mean = axes.lines
    assert _points(one) == [[1000, 2000, 3000], [10, 30, 50]]
    assert _points(two) == [[1000, 2000], [20, 5]]
    assert _points(kept)[1] == [48, 6]
    assert min(_points(kept)[0]) > 3000
    assert _points(expert)[1] == [55, 55]
    assert _points(uniform)[1] == [2, 2]
    assert _points(mean) == [[1000, 2000], [15, 17.5]]  # as long as both train
    (band,) = axes.collections
    assert np.isclose(band.get_paths()[0].vertices[:, 1].max(), 30)  # 17.5 and a standard error
    assert axes.get_xlim()[0] == 0
    assert axes.get_xlim()[1] > max(_points(kept)[0])


def test_each_is_named_once(curves: list[Path]) -> None:
    axes = _axes(curves, [48.0, 6.0])
    labels = [text.get_text() for text in axes.get_legend().get_texts()]
    assert labels == ["in training, one line a replicate", "kept, greedy", "expert", "uniform policy", "mean ± stderr"]
    assert axes.get_title(loc="left") == "cartpole_v1 pdrs"
    assert axes.get_xlabel() == "environment steps"
    assert axes.get_ylabel() == "true return"


def test_policies_that_were_not_trained() -> None:
    """Imitation has no curves."""
    axes = _axes([], [48.0])
    kept, *_ = axes.lines
    assert _points(kept)[1] == [48]


def test_steps_are_thousands(curves: list[Path]) -> None:
    formatter = _axes(curves, [1.0]).xaxis.get_major_formatter()
    assert formatter(100_000, 0) == "100 k"
    assert formatter(0, 0) == "0"


def test_a_picture_is_written(curves: list[Path], tmp_path: Path) -> None:
    path = tmp_path / "figures" / "training.png"
    save_figure(training_figure(curves, [48.0, 6.0], 55.0, 2.0, "a title"), path, dpi=40)
    assert path.read_bytes().startswith(b"\x89PNG")
