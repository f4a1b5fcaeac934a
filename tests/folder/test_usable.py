"""Which labels are learned from, and scales of ratings as categories."""

from typing import Any

import pytest

from mavrl.folder.labels import Label, Segment
from mavrl.folder.usable import is_used, rating_scales


def _rating(value: float, low: float, high: float) -> Label:
    return Label("x", "rating", (Segment(0, 0, 5),), value, (low, high))


@pytest.mark.parametrize(("choice", "used"), [(0, True), (1, True), ("equal", True), ("skip", False)])
def test_a_pair_that_was_skipped_tells_nothing(choice: Any, used: bool) -> None:
    assert is_used(Label("x", "preference", (Segment(0), Segment(1)), choice)) == used


def test_a_short_scale_of_whole_numbers_has_them_all_as_categories() -> None:
    (scale,) = rating_scales([_rating(2, 1, 5), _rating(4, 1, 5)])
    assert scale.starts == (1, 2, 3, 4, 5)
    assert [scale.category(value) for value in (1, 2, 5)] == [0, 1, 4]


def test_scales_are_told_apart_by_their_ends() -> None:
    scales = rating_scales([_rating(2, 1, 5), _rating(0, -1, 1), _rating(3, 1, 5)])
    assert [(scale.low, scale.high) for scale in scales] == [(-1, 1), (1, 5)]
    assert [len(scale.starts) for scale in scales] == [3, 5]


def test_halves_are_categories_of_their_own() -> None:
    (scale,) = rating_scales([_rating(value, 0, 5) for value in (2.5, 4, 2.5, 0.5)])
    assert scale.starts == (0, 0.5, 2.5, 4, 5)
    assert [scale.category(value) for value in (0.5, 2.5, 4)] == [1, 2, 3]


def test_a_fine_scale_is_divided_where_ratings_are_equally_frequent() -> None:
    values = [k / 1000 for k in range(1, 1000)]
    (scale,) = rating_scales([_rating(value, 0, 1) for value in values])
    categories = [scale.category(value) for value in values]
    assert len(scale.starts) == 10
    assert {categories.count(k) for k in range(10)} <= {99, 100}
    assert categories == sorted(categories)


def test_a_scale_has_two_categories_at_least() -> None:
    (scale,) = rating_scales([_rating(0.5, 0.5, 1.5)])
    assert scale.starts == (0.5, 1.5)
