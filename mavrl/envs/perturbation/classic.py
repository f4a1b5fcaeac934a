"""Other dynamics of Gymnasium's classic control environments."""

from collections.abc import Mapping
from typing import cast

import gymnasium as gym
from gymnasium.envs.classic_control import AcrobotEnv, CartPoleEnv, Continuous_MountainCarEnv, PendulumEnv
from numpy import cos, pi, sin

from mavrl.envs.perturbation.setting import Dynamics, Perturbation

_GRAVITY = 9.8  # m/s^2, a literal in Gymnasium's Acrobot
_CART_POLE = {
    "pole_length": Perturbation("m, half the pole", 0.5, 0.05, 5.0),
    "gravity": Perturbation("m/s^2", 9.8, 0.0, 98.0),
}
_ACROBOT = {
    # Below a half, the time step of 0.2 s is too coarse for so light a link: its velocity is clipped at most
    # steps. Above two, a torque of 1 N m no longer swings it up within 500 steps.
    "link_asymmetry": Perturbation("factor of the second link's length and mass", 1.0, 0.5, 2.0),
}
_PENDULUM = {
    "gravity": Perturbation("m/s^2", 10.0, 0.0, 30.0),
    "length": Perturbation("m", 1.0, 0.5, 2.0),
    "mass": Perturbation("kg", 1.0, 0.2, 5.0),
}
_MOUNTAIN_CAR = {
    # Above 0.0025, the slope at its steepest, the car drives up without a swing.
    "power": Perturbation("change of the velocity in a step at full throttle", 0.0015, 0.0005, 0.003),
}


def _perturb_cart_pole(env: gym.Env, perturbation: Mapping[str, float]) -> None:
    cart_pole = cast(CartPoleEnv, env)
    cart_pole.length = perturbation.get("pole_length", _CART_POLE["pole_length"].nominal)
    cart_pole.polemass_length = cart_pole.masspole * cart_pole.length
    cart_pole.gravity = perturbation.get("gravity", _CART_POLE["gravity"].nominal)


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
    """Stretch the second link by a factor f, and keep its density.

    Its centre of mass moves with the length, its moment of inertia grows with mass times length squared, f^3; the first
    link stays. The target stays 1 m above the upper joint, in true link lengths: -l1 cos(theta1) - l2 cos(theta1 +
    theta2) > 1.
    """
    acrobot = cast(_AsymmetricAcrobot, env)
    # In place: the wrappers around it, and whoever holds one of them, keep the environment that they have.
    acrobot.__class__ = _AsymmetricAcrobot
    acrobot.stretch(perturbation["link_asymmetry"])


def _perturb_pendulum(env: gym.Env, perturbation: Mapping[str, float]) -> None:
    pendulum = cast(PendulumEnv, env)
    pendulum.g = perturbation.get("gravity", _PENDULUM["gravity"].nominal)
    pendulum.l = perturbation.get("length", _PENDULUM["length"].nominal)
    pendulum.m = perturbation.get("mass", _PENDULUM["mass"].nominal)


def _perturb_mountain_car(env: gym.Env, perturbation: Mapping[str, float]) -> None:
    cast(Continuous_MountainCarEnv, env).power = perturbation["power"]


CLASSIC = {
    "CartPole-v1": Dynamics(_CART_POLE, _perturb_cart_pole),
    "Acrobot-v1": Dynamics(_ACROBOT, _perturb_acrobot),
    "Pendulum-v1": Dynamics(_PENDULUM, _perturb_pendulum),
    "MountainCarContinuous-v0": Dynamics(_MOUNTAIN_CAR, _perturb_mountain_car),
}
