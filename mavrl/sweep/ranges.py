"""Ranges of the command line, such as range(0,20), that hold something and end."""

import math
from typing import TypeGuard

from hydra.core.override_parser.types import IntervalSweep, Override, RangeSweep

from mavrl.errors import ConfigurationError

_MOST_VALUES = 1_000_000


def refuse_endless(override: Override) -> None:
    """Refuse a range or an interval whose ends are no numbers, and a range of more values than can be listed.

    Raises:
        ConfigurationError: it is one.
    """
    value = override.value()
    if not isinstance(value, (RangeSweep, IntervalSweep)):
        return
    is_range = isinstance(value, RangeSweep)
    ends = (value.start, value.stop, value.step) if is_range else (value.start, value.end, 1)
    finite = [float(one) for one in ends if _is_number(one) and math.isfinite(one)]
    if len(finite) < len(ends):
        raise ConfigurationError(override.get_key_element(), override.get_value_string(), "must have finite ends")
    start, end, step = finite
    if step == 0 or (is_range and abs(end - start) / abs(step) > _MOST_VALUES):
        allowed = f"must end, after at most {_MOST_VALUES} values"
        raise ConfigurationError(override.get_key_element(), override.get_value_string(), allowed)


def _is_number(value: object) -> TypeGuard[int | float]:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
