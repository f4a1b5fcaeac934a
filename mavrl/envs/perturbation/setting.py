"""What a setting of an environment's dynamics is."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from numbers import Real

import gymnasium as gym

Apply = Callable[[gym.Env, Mapping[str, float]], None]  # sets the values of some settings on an `env.unwrapped`


@dataclass(frozen=True)
class Perturbation:
    """A setting of an environment's dynamics.

    Args:
        unit: what a value is measured in.
        nominal: the value that leaves Gymnasium's dynamics as they are.
        low: smallest allowed value.
        high: largest allowed value.
    """

    unit: str
    nominal: float
    low: float
    high: float

    @property
    def allowed(self) -> str:
        """The range and the nominal value, as error messages say them."""
        return f"a number from {self.low:g} to {self.high:g} ({self.unit}), nominal {self.nominal:g}"

    def allows(self, value: object) -> bool:
        """Whether `value` is a number in the range."""
        return isinstance(value, Real) and not isinstance(value, bool) and self.low <= float(value) <= self.high


@dataclass(frozen=True)
class Dynamics:
    """The settings of an environment.

    Args:
        settings: each by its name in `env.perturbation`.
        apply: sets some of them on an environment without its wrappers; one that is not given is nominal.
    """

    settings: Mapping[str, Perturbation]
    apply: Apply
