"""Other dynamics of Gymnasium's LunarLander: wind and turbulence."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, cast

import gymnasium as gym
from gymnasium.utils import EzPickle

from mavrl.envs.perturbation.setting import Dynamics, Perturbation
from mavrl.errors import ConfigurationError

if TYPE_CHECKING:  # needs Box2D, which is optional
    from gymnasium.envs.box2d import LunarLander


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


_LUNAR_LANDER = Dynamics(
    {
        "wind_power": Perturbation("largest force, Gymnasium's unit", 0.0, 0.0, 20.0),
        "turbulence_power": Perturbation("largest torque, Gymnasium's unit", 0.0, 0.0, 2.0),
    },
    _perturb_lunar_lander,
)
BOX2D = {"LunarLander-v3": _LUNAR_LANDER, "LunarLanderContinuous-v3": _LUNAR_LANDER}
