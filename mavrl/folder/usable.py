"""Which labels can be learned from, and on which scale ratings are."""

from collections.abc import Sequence

from mavrl.errors import ConfigurationError
from mavrl.folder.labels import Label


def is_used(label: Label) -> bool:
    """Whether a label is learned from: a pair that was skipped tells nothing, and what a tie tells is not modelled."""
    return label.type != "preference" or label.answer in (0, 1)


def rating_scale(labels: Sequence[Label]) -> tuple[int, int] | None:
    """The lowest and the highest value of the scale that all ratings have; None where there are no ratings.

    Raises:
        ConfigurationError: scales differ, or values are no whole numbers.
    """
    ratings = [label for label in labels if label.type == "rating"]
    scales = {label.scale for label in ratings if label.scale is not None}
    if not scales:
        return None
    if len(scales) > 1:
        allowed = f"ratings have {len(scales)} scales, such as {sorted(scales)[:2]}; must have one"
        raise ConfigurationError("data", "feedback.jsonl", allowed)
    low, high = scales.pop()
    values = [low, high, *(label.answer for label in ratings)]
    odd = next((x for x in values if x != int(x)), None)  # type: ignore[arg-type]
    if odd is not None:
        raise ConfigurationError("data", "feedback.jsonl", f"has the rating {odd}; must be whole numbers")
    return int(low), int(high)
