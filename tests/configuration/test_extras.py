"""What needs a package that is not installed is refused before anything is imported or computed."""

from importlib.machinery import ModuleSpec
from typing import Any

import pytest

from mavrl.configuration import extras
from mavrl.configuration.check import check
from mavrl.errors import ConfigurationError


@pytest.fixture
def nothing_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extras, "find_spec", lambda name: None)


@pytest.mark.parametrize(
    ("setting", "extra"),
    [
        ("logger=wandb", "wandb"),
        ("logger=tensorboard", "tensorboard"),
        ("search.storage=postgresql://host/studies", "postgres"),
        ("search.storage=postgresql+psycopg://host/studies", "postgres"),
        ("env.id=mo_gymnasium:mo-lunar-lander-v3", "multi"),
        ("env.id=mo_gymnasium:mo-halfcheetah-v5", "multi,mujoco"),
        ("env.id=mo_gymnasium:mo-hopper-2obj-v5", "multi,mujoco"),
        ("env.id=HalfCheetah-v5", "mujoco"),
        ("env.id=Walker2d-v5", "mujoco"),
        ("env.id=highway_env:highway-v0", "highway"),
    ],
)
@pytest.mark.usefixtures("nothing_installed")
def test_the_line_names_key_value_and_how_to_install(setting: str, extra: str, composed: Any) -> None:
    with pytest.raises(ConfigurationError) as raised:
        check(composed(*(["env=cartpole_v1"] if setting.startswith("env.") else []), setting))
    assert str(raised.value).startswith(f"{setting}: needs ")
    assert f'pip install "mavrl[{extra}]"' in str(raised.value)


@pytest.mark.usefixtures("nothing_installed")
def test_what_needs_nothing_more_is_allowed(composed: Any) -> None:
    check(composed("env=cartpole_v1", "env.id=Pendulum-v1"))
    for setting in ("logger=csv", "search.storage=sqlite:///studies.db", "search.storage=postgresql+asyncpg://host/x"):
        check(composed(setting))


def test_a_folder_of_the_package_s_name_is_not_the_package(monkeypatch: pytest.MonkeyPatch, composed: Any) -> None:
    monkeypatch.setattr(extras, "find_spec", lambda name: ModuleSpec(name, None))
    with pytest.raises(ConfigurationError, match="logger=wandb: needs wandb"):
        check(composed("logger=wandb"))


def test_what_is_installed_is_allowed(monkeypatch: pytest.MonkeyPatch, composed: Any) -> None:
    monkeypatch.setattr(extras, "find_spec", lambda name: ModuleSpec(name, None, origin="here"))
    check(composed("logger=wandb"))
