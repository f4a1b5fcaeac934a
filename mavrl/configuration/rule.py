"""What a key of the configuration may be, as a test and in words.

Nothing here imports torch: a wrong key must not wait for it.
"""

import math
import re
from collections.abc import Callable
from typing import Any, NamedTuple


class Rule(NamedTuple):
    """What a key's value must be: a test, and the same in words."""

    holds: Callable[[Any], bool]
    allowed: str


def number(low: float, high: float = math.inf, *, open_low: bool = False, open_high: bool = False) -> Rule:
    """A finite number in an interval."""
    left, right = "(" if open_low else "[", ")" if open_high or high == math.inf else "]"

    def holds(value: Any) -> bool:
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
            return False
        return (value > low if open_low else value >= low) and (value < high if open_high else value <= high)

    return Rule(holds, f"must be a number in {left}{low:g}, {'infinity' if high == math.inf else f'{high:g}'}{right}")


def whole(low: int, high: int) -> Rule:
    """A whole number from low to high."""
    return Rule(
        lambda value: isinstance(value, int) and not isinstance(value, bool) and low <= value <= high,
        f"must be a whole number from {low} to {high}",
    )


def one_of(*choices: Any) -> Rule:
    """One of a few values."""
    words = ", ".join("true" if c is True else "false" if c is False else str(c) for c in choices)
    return Rule(
        lambda v: any(v == c and isinstance(v, bool) == isinstance(c, bool) for c in choices), f"must be one of {words}"
    )


def optional(rule: Rule) -> Rule:
    """What the rule says, or null."""
    return Rule(lambda value: value is None or rule.holds(value), f"{rule.allowed}, or null")


TEXT = Rule(lambda value: isinstance(value, str) and value != "", "must be a path")
NAME = Rule(
    lambda value: isinstance(value, str) and re.fullmatch(r"\w[\w.=+-]*(/\w[\w.=+-]*)*", value) is not None,
    "must be a name of letters, digits and . _ = + -, with / between its parts",
)
OPTIONS = Rule(
    lambda value: isinstance(value, list) and bool(value) and all(isinstance(name, str) for name in value),
    "must be a list of names, such as [p, pdrs]",
)
URL = Rule(
    lambda value: isinstance(value, str) and value.startswith(("http://", "https://")),
    "must be an address, https://...",
)
SIZES = Rule(
    lambda sizes: isinstance(sizes, list) and bool(sizes) and all(whole(1, 4096).holds(size) for size in sizes),
    "must be a list of at least one whole number from 1 to 4096, such as [64, 64]",
)
POSITIVE = number(0, open_low=True)
MAPPING = Rule(lambda value: isinstance(value, dict), "must be a mapping of names to values, such as {a: 1}")
