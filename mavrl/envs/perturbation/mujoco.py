"""Other dynamics of Gymnasium's MuJoCo environments: numbers of the compiled model, changed in place."""

from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any, cast

import gymnasium as gym

from mavrl.envs.perturbation.setting import Dynamics, Perturbation

if TYPE_CHECKING:  # needs MuJoCo, which is optional
    from gymnasium.envs.mujoco import MujocoEnv

_RUNNER = {
    "gravity": Perturbation("m/s^2, downwards", 9.81, 0.0, 30.0),
    "friction": Perturbation("factor of the sliding friction of all surfaces", 1.0, 0.01, 10.0),
    "mass": Perturbation("factor of the mass and inertia of all bodies", 1.0, 0.2, 5.0),
}
_REACHER = {
    # The rotors in its joints resist a thousand times as much as its arm does: the mass alone would change nothing.
    "inertia": Perturbation(
        "factor of the mass and inertia of all bodies and of the rotors in the joints", 1.0, 0.2, 5
    ),
    "damping": Perturbation("factor of the damping of all joints", 1.0, 0.0, 10.0),
}


def _perturb(env: gym.Env, perturbation: Mapping[str, float]) -> None:
    """Change the numbers of an environment's model.

    Factors are of what stands in the model's file, so that another value replaces an earlier one. The joints' own
    damping, springs and motors stay what they are.
    """
    mujoco: Any = import_module("mujoco")
    inside = cast("MujocoEnv", env)
    model, nominal = inside.model, mujoco.MjModel.from_xml_path(inside.fullpath)
    model.opt.gravity[2] = -perturbation.get("gravity", -nominal.opt.gravity[2])
    # Of two surfaces that touch, the larger friction counts: a common factor is the factor of every contact.
    model.geom_friction[:, 0] = nominal.geom_friction[:, 0] * perturbation.get("friction", 1.0)
    rotors = perturbation.get("inertia", 1.0)
    bodies = perturbation.get("mass", rotors)
    model.body_mass[:] = nominal.body_mass * bodies
    model.body_inertia[:] = nominal.body_inertia * bodies
    model.dof_armature[:] = nominal.dof_armature * rotors
    model.dof_damping[:] = nominal.dof_damping * perturbation.get("damping", 1.0)
    mujoco.mj_setConst(
        model, inside.data
    )  # what the compiler works out of masses: how hard contacts and limits push back
    _keep_in_copies(env, perturbation)


def _keep_in_copies(env: gym.Env, perturbation: Mapping[str, float]) -> None:
    """Have copies and pickles of an environment perturbed too: Gymnasium constructs them anew, from arguments."""
    state = cast(Any, env)
    arguments = state._ezpickle_args, state._ezpickle_kwargs
    plain = next(each for each in type(env).__mro__ if not each.__dict__.get("_perturbed"))
    rebuilt = _rebuilt, (plain, *arguments, dict(perturbation), env.spec)
    # In place, as for Acrobot: the wrappers around it keep the environment that they have.
    state.__class__ = type(plain.__name__, (plain,), {"_perturbed": True, "__reduce__": lambda self: rebuilt})


def _rebuilt(
    kind: type[gym.Env], args: tuple[Any, ...], kwargs: dict[str, Any], perturbation: Mapping[str, float], spec: Any
) -> gym.Env:
    env = kind(*args, **kwargs)
    env.spec = spec
    _perturb(env, perturbation)
    return env


_RUNNERS = ("HalfCheetah-v5", "Hopper-v5", "Walker2d-v5", "mo-halfcheetah-v5")
MUJOCO = {**dict.fromkeys(_RUNNERS, Dynamics(_RUNNER, _perturb)), "Reacher-v5": Dynamics(_REACHER, _perturb)}
