"""MuJoCo is filmed where there is no screen, or says what to install."""

import os
from typing import Any

import numpy as np
import pytest

from mavrl.envs.control import ControlEnvironment
from mavrl.envs.mujoco import opengl_without_screen
from mavrl.errors import ConfigurationError
from mavrl.simulation.collecting import Scene, film

pytest.importorskip("mujoco")
HOPPER = ControlEnvironment("Hopper-v5")


@pytest.fixture(autouse=True)
def _no_screen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "linux")
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "MUJOCO_GL"):
        monkeypatch.delenv(name, raising=False)


def _five_pictures() -> tuple[list[np.ndarray], float]:
    def choose(observation: Any, epsilon: float, draws: Any) -> np.ndarray:
        return np.array([0.0, -1.0, 1.0], dtype=np.float32)

    return film(Scene(lambda filmed: (HOPPER.filmed() if filmed else HOPPER).make(), choose), 0, 5)


def test_it_is_drawn_in_memory() -> None:
    if opengl_without_screen() is None:
        pytest.skip("neither EGL nor OSMesa is here")
    before = dict(os.environ)
    pictures, fps = _five_pictures()
    assert dict(os.environ) == before
    assert (len(pictures), pictures[0].shape, fps) == (5, (480, 480, 3), 125)
    assert pictures[0].std() > 10
    assert not np.array_equal(pictures[0], pictures[4])


def test_where_nothing_draws_a_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mavrl.envs.mujoco.find_library", lambda name: None)
    with pytest.raises(ConfigurationError, match=r"^env.id=Hopper-v5: MuJoCo draws .*apt-get install libegl1"):
        _five_pictures()


def test_what_cannot_draw_says_what_can(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(self: Any) -> None:
        raise RuntimeError("no driver")

    monkeypatch.setenv("MUJOCO_GL", "egl")
    monkeypatch.setattr("gymnasium.envs.mujoco.MujocoEnv.render", fails)
    with pytest.raises(ConfigurationError, match=r"^env.id=Hopper-v5: nothing draws with MUJOCO_GL=egl"):
        _five_pictures()
