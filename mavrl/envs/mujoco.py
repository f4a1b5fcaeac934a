"""What MuJoCo's environments ask of the machine: OpenGL where there is no screen, and somebody who hears warnings."""

import logging
import os
import sys
from ctypes.util import find_library
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import gymnasium as gym
from gymnasium.envs.registration import EnvSpec

log = logging.getLogger(__name__)

OPENGL = "MUJOCO_GL"  # the variable that says what draws: glfw on a screen, egl or osmesa without
_LIBRARIES = {"egl": "EGL", "osmesa": "OSMesa"}  # in memory, on the graphics card if there is one; on the processor
_INSTALL = "apt-get install libegl1, or libosmesa6"


def is_mujoco(env: gym.Env | EnvSpec) -> bool:
    """Whether an environment, or one that is to be made, comes from a module of MuJoCo's environments."""
    spec = env.spec if isinstance(env, gym.Env) else env
    entry = None if spec is None else spec.entry_point
    return "mujoco" in (entry if isinstance(entry, str) else getattr(entry, "__module__", ""))


def hear_warnings(spec: EnvSpec) -> None:
    """Take MuJoCo's warnings to the log, each once; by itself it writes MUJOCO_LOG.TXT wherever a run was started.

    Says nothing of the file that Gymnasium's HalfCheetah is made of, which is warned of at each copy. Somebody else who
    hears them already is left alone.

    Args:
        spec: of an environment that is about to be made; where it is none of MuJoCo's, nothing happens.
    """
    if not is_mujoco(spec) or find_spec("mujoco") is None:
        return
    mujoco: Any = import_module("mujoco")
    if mujoco.get_mju_user_warning() is None:
        mujoco.set_mju_user_warning(_heard)


def has_screen() -> bool:
    """Whether windows can be opened, as far as the environment variables say it; elsewhere than on Linux, always."""
    return sys.platform != "linux" or any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY"))


def opengl_without_screen() -> str | None:
    """What draws where there is no screen: "egl" or "osmesa".

    Returns:
        None where `MUJOCO_GL` says it, where there is a screen, or where neither library is there.
    """
    if OPENGL in os.environ or has_screen():
        return None
    return next((name for name, library in _LIBRARIES.items() if find_library(library) is not None), None)


def why_no_picture() -> str:
    """What to do where MuJoCo cannot draw, as the end of an error's message."""
    if OPENGL in os.environ:
        return f"nothing draws with {OPENGL}={os.environ[OPENGL]}; without a screen egl and osmesa do: {_INSTALL}"
    return f"MuJoCo draws with OpenGL, and there is neither a screen nor EGL nor OSMesa: {_INSTALL}"


def _heard(text: str) -> None:
    if "settotalmass" not in text:
        _say(text.partition(" Time = ")[0])


@cache
def _say(text: str) -> None:
    log.warning("MuJoCo: %s", text)
