"""Which labels can be learned from, and on which scales ratings are."""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import quantiles

from mavrl.folder.labels import Label

_MOST = 25  # categories of a scale; finer ones are told apart less finely
_PARTS = 10  # of a finer scale, in which ratings are equally frequent


def is_used(label: Label) -> bool:
    """Whether a label is learned from: a pair that was skipped tells nothing."""
    return label.type != "preference" or label.answer != "skip"


@dataclass(frozen=True)
class RatingScale:
    """A scale that people rate on, as ordered categories.

    Args:
        low, high: its lowest and its highest value.
        starts: lowest value of each category.
    """

    low: float
    high: float
    starts: tuple[float, ...]

    def category(self, value: float) -> int:
        """The category of a value, from 0."""
        return bisect_right(self.starts, value) - 1


def rating_scales(labels: Sequence[Label]) -> list[RatingScale]:
    """The scales of all ratings, by their lowest and highest values; ratings of other kinds are passed over."""
    values: dict[tuple[float, float], list[float]] = {}
    for label in labels:
        if label.type == "rating" and label.scale is not None:
            values.setdefault(label.scale, []).append(float(label.answer))  # type: ignore[arg-type]
    return [RatingScale(*scale, _starts(*scale, given)) for scale, given in sorted(values.items())]


def _starts(low: float, high: float, given: Sequence[float]) -> tuple[float, ...]:
    """Every whole number of a short scale; else every value that was given; else parts of equally many ratings."""
    whole = all(value == int(value) for value in (low, high, *given))
    if whole and high - low < _MOST:
        return tuple(float(value) for value in range(int(low), int(high) + 1))
    found = sorted({float(low), *given, float(high)})
    if len(found) <= _MOST:
        return tuple(found)
    return tuple(sorted({float(low), *quantiles(given, n=_PARTS)}))
