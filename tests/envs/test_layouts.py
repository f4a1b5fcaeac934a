"""The reward of every cell, written out for 10 x 10 and for the smallest grids."""

import numpy as np
import pytest

from mavrl.envs.layouts import ENDLESS, LAYOUTS, PARTS

TRAP_10 = """
. . . . . . . . . .
. . . . . . . . . .
. . # # . . # # . .
. . # # . . # # . .
. . . . . . . . . .
. . . . . . . . . .
. . # # . . # # . .
. . # # . . # # . .
. . . . . . . . . .
. . . . . . . . . G
"""

SMALL_TRAPS = {
    3: "...  .##  .#G",
    4: "....  ....  ..##  ..#G",
    5: ".....  .....  ..##.  ..##.  ....G",
}


def read(picture: str, meaning: dict[str, float], size: int) -> np.ndarray:
    cells = "".join(picture.split())
    return np.array([meaning[cell] for cell in cells]).reshape(size, size)


def test_trap_of_ten():
    np.testing.assert_array_equal(LAYOUTS["trap"](10), read(TRAP_10, {".": 0, "#": -4, "G": 1}, 10))


@pytest.mark.parametrize("size", [3, 4, 5])
def test_small_traps(size):
    np.testing.assert_array_equal(LAYOUTS["trap"](size), read(SMALL_TRAPS[size], {".": 0, "#": -4, "G": 1}, size))


def test_traps_grow_with_the_grid():
    reward = LAYOUTS["trap"](15)  # side 3, centres 15 // 4 + 1 = 4 and 45 // 4 = 11
    rows, columns = np.nonzero(reward == -4)
    assert sorted(set(rows)) == sorted(set(columns)) == [3, 4, 5, 10, 11, 12]
    assert len(rows) == 36


@pytest.mark.parametrize("size", [3, 4, 5, 10])
def test_cliff(size):
    picture = "." + "-" * (size - 1) + "." * size * (size - 2) + "#" * (size - 1) + "G"
    expected = read(picture, {".": 0, "-": -1, "#": -4, "G": 4}, size)
    np.testing.assert_array_equal(LAYOUTS["cliff"](size), expected)


@pytest.mark.parametrize("size", [3, 4, 5, 10])
def test_sparse(size):
    expected = read("." * (size * size - 1) + "G", {".": -0.1, "G": 1}, size)
    np.testing.assert_array_equal(LAYOUTS["sparse"](size), expected)


@pytest.mark.parametrize("size", [3, 4, 5, 10])
def test_path(size):
    picture = "-" * size + "." * size * (size - 2) + "-" * (size - 1) + "G"
    np.testing.assert_array_equal(LAYOUTS["path"](size), read(picture, {".": 0, "-": -1, "G": 4}, size))


@pytest.mark.parametrize(("size", "middle"), [(3, 1), (4, 2), (5, 2), (10, 5)])
def test_center(size, middle):
    reward = LAYOUTS["center"](size)
    assert reward[middle, middle] == 1
    assert np.count_nonzero(reward == -0.1) == size * size - 1


def test_dense_of_three():
    # Distances to the goal 4 3 2 / 3 2 1 / 2 1 0, divided by the longest, 4.
    expected = [[-1, -0.75, -0.5], [-0.75, -0.5, -0.25], [-0.5, -0.25, 1]]
    np.testing.assert_allclose(LAYOUTS["dense"](3), expected)


@pytest.mark.parametrize("size", [4, 5, 10])
def test_dense_falls_with_the_distance(size):
    reward = LAYOUTS["dense"](size)
    for row in range(size):
        for column in range(size):
            distance = (size - 1 - row) + (size - 1 - column)
            expected = 1 if distance == 0 else -distance / (2 * size - 2)
            assert reward[row, column] == pytest.approx(expected)


def test_two_goals():
    expected = read("....11  ....11  ......  ......  22....  22....", {".": 0, "1": 1, "2": 1}, 6)
    np.testing.assert_array_equal(LAYOUTS["two_goals"](6), expected)
    first = read("....11  ....11  ......  ......  ......  ......", {".": 0, "1": 1}, 6)
    np.testing.assert_array_equal(PARTS["two_goals"]["first"](6), first)
    np.testing.assert_array_equal(PARTS["two_goals"]["second"](6), first.T)


@pytest.mark.parametrize("layout", sorted(set(LAYOUTS) - set(ENDLESS)))
@pytest.mark.parametrize("size", [3, 4, 5, 7, 10, 23])
def test_only_the_goal_is_best(layout, size):
    reward = LAYOUTS[layout](size)
    assert reward.shape == (size, size)
    best = (size // 2, size // 2) if layout == "center" else (size - 1, size - 1)
    assert np.argwhere(reward == reward.max()).tolist() == [list(best)]
    assert reward[best] == (4 if layout in ("cliff", "path") else 1)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_each_call_gives_a_fresh_array(layout):
    LAYOUTS[layout](5)[:] = 99
    assert LAYOUTS[layout](5).max() < 99
