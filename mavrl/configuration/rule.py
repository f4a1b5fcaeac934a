"""What a key of the configuration may be, as a test and in words.

Nothing here imports torch: a wrong key must not wait for it.
"""

import re
import sys
from collections.abc import Callable, Collection
from typing import Any, NamedTuple


class Rule(NamedTuple):
    """What a key's value must be.

    Args:
        holds: the test.
        allowed: the same in words.
        required: whether the key must be there.
        is_text: whether the value is a text, so that a whole number is read as one.
    """

    holds: Callable[[Any], bool]
    allowed: str
    required: bool = True
    is_text: bool = False

    def refusal(self, value: Any) -> str:
        """Why a value is refused: what is allowed, and for what YAML does not read as text how to write it."""
        if self.is_text and isinstance(value, (bool, int, float)):
            kind = "truth value" if isinstance(value, bool) else "number"
            return f"{self.allowed}; this is a {kind}, in quotes it is text"
        return self.allowed


_MOST = sys.float_info.max


def number(low: float, high: float = float("inf"), *, open_low: bool = False, open_high: bool = False) -> Rule:
    """A finite number in an interval."""
    left, right = "(" if open_low else "[", ")" if open_high or high == float("inf") else "]"

    def holds(value: Any) -> bool:
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not -_MOST <= value <= _MOST:
            return False
        return (value > low if open_low else value >= low) and (value < high if open_high else value <= high)

    if low == -float("inf"):
        return Rule(holds, "must be a finite number")
    end = "infinity" if high == float("inf") else f"{high:g}"
    return Rule(holds, f"must be a number in {left}{low:g}, {end}{right}")


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
    return rule._replace(holds=lambda value: value is None or rule.holds(value), allowed=f"{rule.allowed}, or null")


def if_there(rule: Rule) -> Rule:
    """What the rule says, of a key that need not be there."""
    return rule._replace(required=False)


def mapping(values: Rule, keys: Collection[str] | None = None, example: str = "{a: 1}") -> Rule:
    """A mapping of names to values.

    Args:
        values: what each value must be.
        keys: the names that there may be; None for any.
        example: of such a mapping.
    """

    def holds(value: Any) -> bool:
        if not isinstance(value, dict):
            return False
        return all((keys is None or key in keys) and values.holds(child) for key, child in value.items())

    names = "names" if keys is None else ", ".join(keys)
    return Rule(holds, f"must map {names} to values, each of which {values.allowed}, such as {example}")


def list_of(values: Rule, example: str, least: int = 0) -> Rule:
    """A list of at least so many values."""
    return Rule(
        lambda value: isinstance(value, list) and len(value) >= least and all(map(values.holds, value)),
        f"must be a list such as {example}, each of which {values.allowed}",
    )


def _text(pattern: str, allowed: str) -> Rule:
    return Rule(
        lambda value: isinstance(value, str) and re.fullmatch(pattern, value) is not None, allowed, is_text=True
    )


PATH = _text(r"[^\0]*\S[^\0]*", "must be a path")
TEXT = _text(r"[^\0]*\S[^\0]*", "must be a text")
PART = _text(r"\w[\w.=+-]{0,99}", "must be a name of at most 100 letters, digits and . _ = + -")
NAME = _text(
    r"\w[\w.=+-]{0,99}(/\w[\w.=+-]{0,99}){0,7}",
    "must be a name of letters, digits and . _ = + -, with / between its parts",
)
# Below the folder of runs, where a job of -m works; the names of confirmations have commas.
SUBDIRECTORY = _text(
    r"(?!\.\.?(/|$))[^\0/]+(/(?!\.\.?(/|$))[^\0/]+)*", "must be a folder below hydra.sweep.dir, without .. in its path"
)
LABEL = _text(r"[^\0-\x1f/\\#?%:]{1,128}", "must be a text of at most 128 characters without / \\ # ? % :")
URL = _text(r"https?://\S+", "must be an address, https://...")
OPTIONS = list_of(PART, "[p, pdrs]", least=1)._replace(allowed="must be a list of names, such as [p, pdrs]")
SIZES = list_of(whole(1, 4096), "[64, 64]", least=1)._replace(
    allowed="must be a list of at least one whole number from 1 to 4096, such as [64, 64]"
)
POSITIVE = number(0, open_low=True)
MAPPING = Rule(lambda value: isinstance(value, dict), "must be a mapping of names to values, such as {a: 1}")
NULL = Rule(lambda value: value is None, "must be null")
