"""Ranges of the command line, such as range(0,20), that hold something and end."""

import math

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
    start, end = value.start, value.stop if isinstance(value, RangeSweep) else value.end
    step = value.step if isinstance(value, RangeSweep) else 1
    ends = [start, end, step]
    if any(isinstance(one, bool) or not isinstance(one, (int, float)) or not math.isfinite(one) for one in ends):
        raise ConfigurationError(override.get_key_element(), override.get_value_string(), "must have finite ends")
    if step == 0 or (isinstance(value, RangeSweep) and abs(end - start) / abs(step) > _MOST_VALUES):
        allowed = f"must end, after at most {_MOST_VALUES} values"
        raise ConfigurationError(override.get_key_element(), override.get_value_string(), allowed)
