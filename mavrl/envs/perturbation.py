"""Perturbed dynamics of Gymnasium environments: a policy learned in one world is tried in another."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from numbers import Real
from typing import TYPE_CHECKING, cast

import gymnasium as gym
from gymnasium.envs.classic_control import AcrobotEnv, CartPoleEnv
from gymnasium.utils import EzPickle
from numpy import cos, pi, sin

from mavrl.envs.grid import GridEnv
from mavrl.errors import ConfigurationError

if TYPE_CHECKING:  # needs Box2D, which is optional
    from gymnasium.envs.box2d import LunarLander

_GRAVITY = 9.8  # m/s^2, a literal in Gymnasium's Acrobot


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


PERTURBATIONS: dict[str, dict[str, Perturbation]] = {
    "CartPole-v1": {
        "pole_length": Perturbation("m, half the pole", 0.5, 0.05, 5.0),
        "gravity": Perturbation("m/s^2", 9.8, 0.0, 98.0),
    },
    "Acrobot-v1": {
        # Below a half, the time step of 0.2 s is too coarse for so light a link: its velocity is clipped at most
        # steps. Above two, a torque of 1 N m no longer swings it up within 500 steps.
        "link_asymmetry": Perturbation("factor of the second link's length and mass", 1.0, 0.5, 2.0),
    },
    "LunarLander-v3": {
        "wind_power": Perturbation("largest force, Gymnasium's unit", 0.0, 0.0, 20.0),
        "turbulence_power": Perturbation("largest torque, Gymnasium's unit", 0.0, 0.0, 2.0),
    },
}


def perturbed(env: gym.Env, perturbation: Mapping[str, float]) -> gym.Env:
    """The environment with other dynamics.

    Acts on `env.unwrapped` in place, so that wrappers and time limit stay. A setting that is not named is nominal, and
    nominal dynamics are Gymnasium's to the last bit.

    Acrobot's `link_asymmetry` multiplies the second link's length and its mass by the factor f. Its centre of mass
    moves with the length, its moment of inertia grows with mass times length squared, f^3; the first link stays. The
    target stays 1 m above the upper joint, in true link lengths: -l1 cos(theta1) - l2 cos(theta1 + theta2) > 1.

    Args:
        env: made by `gym.make`, before its first reset.
        perturbation: value of each setting, by its name in `PERTURBATIONS`; empty to change nothing.

    Returns:
        The same object.

    Raises:
        ConfigurationError: the environment has no perturbations, a name is unknown or a value out of range.
    """
    for name, value in perturbation.items():
        _check(env, name, value)
    if perturbation:
        _APPLY[_id(env)](env.unwrapped, perturbation)
    return env


def _id(env: gym.Env) -> str:
    spec = env.unwrapped.spec
    return type(env.unwrapped).__name__ if spec is None else spec.id


def _check(env: gym.Env, name: str, value: object) -> None:
    key = f"env.perturbation.{name}"
    if isinstance(env.unwrapped, GridEnv):
        raise ConfigurationError(key, value, "a grid's dynamics are perturbed by env.p_rand")
    if _id(env) not in PERTURBATIONS:
        raise ConfigurationError(key, value, f"{_id(env)} has no perturbations; {', '.join(PERTURBATIONS)} have")
    settings = PERTURBATIONS[_id(env)]
    if name not in settings:
        raise ConfigurationError(key, value, f"unknown; {_id(env)} has {', '.join(settings)}")
    if not settings[name].allows(value):
        raise ConfigurationError(key, value, f"must be {settings[name].allowed}")


def _perturb_cart_pole(env: gym.Env, perturbation: Mapping[str, float]) -> None:
    cart_pole = cast(CartPoleEnv, env)
    nominal = PERTURBATIONS["CartPole-v1"]
    cart_pole.length = perturbation.get("pole_length", nominal["pole_length"].nominal)
    cart_pole.polemass_length = cart_pole.masspole * cart_pole.length
    cart_pole.gravity = perturbation.get("gravity", nominal["gravity"].nominal)


class _AsymmetricAcrobot(AcrobotEnv):
    """Gymnasium's Acrobot, for links that differ: it takes both moments of inertia and the target for equal links."""

    LINK_MOI_2 = AcrobotEnv.LINK_MOI  # kg m^2, about the second link's centre of mass

    def stretch(self, factor: float) -> None:
        self.LINK_LENGTH_2 = AcrobotEnv.LINK_LENGTH_2 * factor
        self.LINK_COM_POS_2 = AcrobotEnv.LINK_COM_POS_2 * factor
        self.LINK_MASS_2 = AcrobotEnv.LINK_MASS_2 * factor
        self.LINK_MOI_2 = AcrobotEnv.LINK_MOI * factor**3

    def _dsdt(self, s_augmented):
        # The book's equations (Sutton and Barto), in Gymnasium's order of operations: equal links must give equal bits.
        m1, m2 = self.LINK_MASS_1, self.LINK_MASS_2
        l1 = self.LINK_LENGTH_1
        lc1, lc2 = self.LINK_COM_POS_1, self.LINK_COM_POS_2
        theta1, theta2, dtheta1, dtheta2, torque = s_augmented
        d1 = m1 * lc1**2 + m2 * (l1**2 + lc2**2 + 2 * l1 * lc2 * cos(theta2)) + self.LINK_MOI + self.LINK_MOI_2
        d2 = m2 * (lc2**2 + l1 * lc2 * cos(theta2)) + self.LINK_MOI_2
        phi2 = m2 * lc2 * _GRAVITY * cos(theta1 + theta2 - pi / 2.0)
        phi1 = (
            -m2 * l1 * lc2 * dtheta2**2 * sin(theta2)
            - 2 * m2 * l1 * lc2 * dtheta2 * dtheta1 * sin(theta2)
            + (m1 * lc1 + m2 * l1) * _GRAVITY * cos(theta1 - pi / 2)
            + phi2
        )
        ddtheta2 = (torque + d2 / d1 * phi1 - m2 * l1 * lc2 * dtheta1**2 * sin(theta2) - phi2) / (
            m2 * lc2**2 + self.LINK_MOI_2 - d2**2 / d1
        )
        ddtheta1 = -(d2 * ddtheta2 + phi1) / d1
        return dtheta1, dtheta2, ddtheta1, ddtheta2, 0.0

    def _terminal(self):
        assert self.state is not None, "Call reset before using AcrobotEnv object."
        theta1, theta2 = self.state[:2]
        return bool(-self.LINK_LENGTH_1 * cos(theta1) - self.LINK_LENGTH_2 * cos(theta2 + theta1) > 1.0)


def _perturb_acrobot(env: gym.Env, perturbation: Mapping[str, float]) -> None:
    acrobot = cast(_AsymmetricAcrobot, env)
    # In place: the wrappers around it, and whoever holds one of them, keep the environment that they have.
    acrobot.__class__ = _AsymmetricAcrobot
    acrobot.stretch(perturbation["link_asymmetry"])


def _perturb_lunar_lander(env: gym.Env, perturbation: Mapping[str, float]) -> None:
    lander = cast("LunarLander", env)
    if lander.enable_wind:
        name, value = next(iter(perturbation.items()))
        raise ConfigurationError(f"env.perturbation.{name}", value, "the environment was made with enable_wind already")
    lander.wind_power = perturbation.get("wind_power", 0.0)
    lander.turbulence_power = perturbation.get("turbulence_power", 0.0)
    # Wind of no force would still draw its phase from the environment's generator, and change all that follows.
    lander.enable_wind = lander.wind_power > 0 or lander.turbulence_power > 0
    EzPickle.__init__(  # a copy or a pickle is constructed anew from these
        lander,
        lander.render_mode,
        lander.continuous,
        lander.gravity,
        lander.enable_wind,
        lander.wind_power,
        lander.turbulence_power,
    )


_APPLY: dict[str, Callable[[gym.Env, Mapping[str, float]], None]] = {
    "CartPole-v1": _perturb_cart_pole,
    "Acrobot-v1": _perturb_acrobot,
    "LunarLander-v3": _perturb_lunar_lander,
}
