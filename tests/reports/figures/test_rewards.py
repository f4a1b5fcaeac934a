"""The figure of the true and the learned reward."""

from pathlib import Path

import numpy as np
import pytest
from matplotlib.collections import Collection, PatchCollection, QuadMesh
from matplotlib.figure import Figure

from mavrl.errors import StorageError
from mavrl.reports.figures.rewards import reward_figure
from mavrl.reports.figures.save import save_figure

SIZE = 4
STD = np.linspace(0, 1, SIZE * SIZE)


def _figure(std: np.ndarray = STD, size: int = SIZE, goal: bool = True) -> Figure:
    n = size * size
    true, mean = np.linspace(-4, 1, n), np.linspace(-1, 1, n)
    actions = np.arange(n) % 5
    return reward_figure(true, mean, std, actions, actions, [0, 1, size + 1], "a title", goal)


def _panels(figure: Figure) -> list:
    return [axes for axes in figure.axes if axes.get_title(loc="left")]


def _cells(axes) -> Collection:
    return next(c for c in axes.collections if isinstance(c, (PatchCollection, QuadMesh)))


def _areas(axes) -> np.ndarray:
    return np.array([np.prod(np.ptp(path.vertices, axis=0)) for path in _cells(axes).get_paths()])


@pytest.mark.parametrize("goal", [True, False])
def test_a_goal_is_marked_where_there_is_one(goal: bool) -> None:
    for axes in _panels(figure := _figure(goal=goal)):
        assert [text.get_text() for text in axes.texts] == ["S", "G"][: 1 + goal]
    assert ("G goal" in _panels(figure)[0].get_xlabel()) == goal


def test_two_panels_with_the_rewards_as_colours() -> None:
    figure = _figure()
    left, right = _panels(figure)
    assert left.get_title(loc="left") == "true reward"
    assert right.get_title(loc="left").startswith("learned reward")
    assert np.allclose(np.ravel(_cells(left).get_array()), np.linspace(-4, 1, 16))
    assert np.allclose(_cells(right).get_array(), np.linspace(-1, 1, 16))
    assert figure.get_suptitle() == "a title"


def test_cells_shrink_with_the_standard_deviation() -> None:
    left, right = _panels(_figure())
    assert isinstance(_cells(left), QuadMesh)  # all of their place
    assert np.allclose(_areas(right), 1 - 0.85 * STD, atol=1e-6)


@pytest.mark.parametrize(("std", "area"), [(0.0, 1.0), (0.3, 0.15)])
def test_equal_certainty_everywhere(std: float, area: float) -> None:
    _, right = _panels(_figure(np.full(16, std)))
    assert np.allclose(_areas(right), area)


def test_cells_lie_row_by_row() -> None:
    left, right = _panels(_figure())
    corners = _cells(left).get_coordinates()  # type: ignore[attr-defined]
    assert corners[0, 0].tolist() == [-0.5, -0.5]
    assert corners[0, 1].tolist() == [0.5, -0.5]
    centres = [(p.vertices.min(0) + p.vertices.max(0)) / 2 for p in _cells(right).get_paths()]
    assert np.allclose(centres, [(s % SIZE, s // SIZE) for s in range(16)])
    assert left.yaxis_inverted()


@pytest.mark.parametrize("size", [3, 31])
def test_a_picture_is_written(size: int, tmp_path: Path) -> None:
    path = tmp_path / "figures" / "rewards.png"
    save_figure(_figure(np.zeros(size * size), size), path, dpi=40)
    assert path.read_bytes().startswith(b"\x89PNG")


def test_a_picture_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError):
        save_figure(_figure(), tmp_path / "file" / "rewards.png")
