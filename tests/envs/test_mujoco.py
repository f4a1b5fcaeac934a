"""What MuJoCo asks of the machine: warnings go to the log, and something draws without a screen."""

import logging
import os

import gymnasium as gym
import pytest

from mavrl.envs import mujoco as module
from mavrl.envs.mujoco import hear_warnings, is_mujoco, opengl_without_screen, why_no_picture


@pytest.fixture
def no_screen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "linux")
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "MUJOCO_GL"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def unheard():
    """MuJoCo as it is imported, with nobody who hears its warnings."""
    library = pytest.importorskip("mujoco")
    before = library.get_mju_user_warning()
    library.set_mju_user_warning(None)
    module._say.cache_clear()
    yield library
    library.set_mju_user_warning(before)


@pytest.mark.parametrize(
    ("env_id", "it_is"),
    [("HalfCheetah-v5", True), ("Reacher-v5", True), ("Pendulum-v1", False), ("CartPole-v1", False)],
)
def test_environments_of_mujoco_are_known_before_they_are_made(env_id, it_is):
    assert is_mujoco(gym.spec(env_id)) == it_is


def test_environments_of_mujoco_are_known_by_their_class_and_inside_of_wrappers():
    assert not is_mujoco(gym.make("CartPole-v1"))
    pytest.importorskip("mujoco")
    assert is_mujoco(gym.make("Hopper-v5"))
    pytest.importorskip("mo_gymnasium")
    assert is_mujoco(gym.spec("mo-halfcheetah-v5"))


class TestWarnings:
    def test_a_cheetah_is_made_in_silence_and_leaves_no_file(self, unheard, tmp_path, monkeypatch, capfd, caplog):
        monkeypatch.chdir(tmp_path)
        hear_warnings(gym.spec("HalfCheetah-v5"))
        gym.make("HalfCheetah-v5").close()
        assert list(tmp_path.iterdir()) == []
        assert capfd.readouterr() == ("", "")
        assert caplog.records == []

    def test_an_unstable_simulation_is_said_once(self, unheard, tmp_path, monkeypatch, caplog):
        monkeypatch.chdir(tmp_path)
        hear_warnings(gym.spec("Hopper-v5"))
        env = gym.make("Hopper-v5").unwrapped
        with caplog.at_level(logging.WARNING):
            for _ in range(2):
                env.reset(seed=0)
                env.data.qvel[0] = 1e12
                unheard.mj_step(env.model, env.data)
        (line,) = [record.getMessage() for record in caplog.records]
        assert line.startswith("MuJoCo: Nan, Inf or huge value in QVEL at DOF 0")
        assert list(tmp_path.iterdir()) == []

    def test_somebody_else_who_hears_them_goes_on(self, unheard):
        heard = []
        unheard.set_mju_user_warning(heard.append)
        hear_warnings(gym.spec("HalfCheetah-v5"))
        gym.make("HalfCheetah-v5").close()
        assert "settotalmass" in heard[0]

    def test_other_environments_need_no_mujoco(self, monkeypatch):
        monkeypatch.setattr(module, "import_module", lambda name: pytest.fail(f"imports {name}"))
        hear_warnings(gym.spec("CartPole-v1"))
        monkeypatch.setattr(module, "find_spec", lambda name: None)
        hear_warnings(gym.spec("HalfCheetah-v5"))  # Gymnasium says what to install


@pytest.mark.usefixtures("no_screen")
class TestOpenGL:
    @pytest.mark.parametrize(
        ("there", "chosen"), [({"EGL", "OSMesa"}, "egl"), ({"EGL"}, "egl"), ({"OSMesa"}, "osmesa"), (set(), None)]
    )
    def test_what_is_there_draws(self, there, chosen, monkeypatch):
        monkeypatch.setattr(module, "find_library", lambda name: f"lib{name}.so" if name in there else None)
        assert opengl_without_screen() == chosen

    @pytest.mark.parametrize("name", ["DISPLAY", "WAYLAND_DISPLAY", "MUJOCO_GL"])
    def test_a_screen_and_the_user_s_word_stand(self, name, monkeypatch):
        monkeypatch.setattr(module, "find_library", lambda name: "lib.so")
        monkeypatch.setenv(name, ":0")
        assert opengl_without_screen() is None

    def test_other_systems_draw_as_they_do(self, monkeypatch):
        monkeypatch.setattr(module, "find_library", lambda name: "lib.so")
        monkeypatch.setattr("sys.platform", "darwin")
        assert opengl_without_screen() is None

    def test_what_to_install(self, monkeypatch):
        assert "neither a screen nor EGL nor OSMesa: apt-get install libegl1, or libosmesa6" in why_no_picture()
        monkeypatch.setenv("MUJOCO_GL", "osmesa")
        assert why_no_picture().startswith(f"nothing draws with MUJOCO_GL={os.environ['MUJOCO_GL']}; ")
