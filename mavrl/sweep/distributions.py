"""Ranges as the command line writes them, such as interval(0,1), read as distributions of Optuna."""

from collections.abc import Iterable
from typing import Any, cast

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import IntervalSweep, Override, RangeSweep, Transformer
from optuna.distributions import (
    BaseDistribution,
    CategoricalChoiceType,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from mavrl.errors import ConfigurationError
from mavrl.sweep.ranges import refuse_endless


def read_distributions(overrides: Iterable[str]) -> dict[str, BaseDistribution]:
    """The distribution of each key.

    Args:
        overrides: words such as optim.lr=tag(log,interval(1e-4,1e-2)), env.size=range(4,8) or model.q=planned,learned.

    Raises:
        ConfigurationError: a value is no range, or one that holds nothing.
    """
    found = {}
    for override in OverridesParser.create().parse_overrides(list(overrides)):
        key = override.get_key_element()
        if not override.is_sweep_override():
            allowed = "is no range to search in; one is interval(1,2), range(1,5) or choice(1,2)"
            raise ConfigurationError(key, override.get_value_string(), allowed)
        refuse_endless(override)
        try:
            found[key] = _distribution(override)
        except ValueError as error:
            raise ConfigurationError(key, override.get_value_string(), f"is no range to search in: {error}") from error
    return found


def _distribution(override: Override) -> BaseDistribution:
    value = override.value()
    if isinstance(value, IntervalSweep):
        low, high, log = value.start, value.end, "log" in value.tags
        assert low is not None
        assert high is not None
        if low > high:
            raise ValueError(f"its ends must be in order, as in interval({high},{low})")
        if isinstance(low, int) and isinstance(high, int):
            return IntDistribution(low, high, log=log)
        return FloatDistribution(low, high, log=log)
    if isinstance(value, RangeSweep) and not value.shuffle and not value.transformers:
        points = sorted(value)  # Optuna includes both ends, Hydra's stop is exclusive
        if not points:
            raise ValueError("it holds no number")
        if all(isinstance(point, int) for point in points):
            return IntDistribution(int(points[0]), int(points[-1]), step=int(abs(value.step)))
        return FloatDistribution(points[0], points[-1], step=float(abs(value.step)))
    options = override.sweep_iterator(transformer=Transformer.encode)  # lists and mappings as text
    return CategoricalDistribution([cast(CategoricalChoiceType, option) for option in options])


def extremes(distribution: BaseDistribution) -> list[Any]:
    """The values of a distribution that are the likeliest not to be allowed: both ends, or all choices."""
    if isinstance(distribution, CategoricalDistribution):
        return [_decoded(choice) for choice in distribution.choices]
    assert isinstance(distribution, (FloatDistribution, IntDistribution))
    return [distribution.low, distribution.high]


def _decoded(choice: Any) -> Any:
    """A choice as the configuration gets it: lists and mappings are texts in a study."""
    return OverridesParser.create().parse_override(f"key={choice}").value() if isinstance(choice, str) else choice
