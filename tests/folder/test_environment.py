"""Which option stands for the environment of a folder."""

import sys
from pathlib import Path

import gymnasium
import pytest
from gymnasium.spaces import Box, Discrete

from mavrl.errors import ConfigurationError
from mavrl.folder.description import Description, Space
from mavrl.folder.environment import chosen

FOUR, TWO = Space(shape=(4,), dtype="float32"), Space(n=2)


def _described(observations: Space = FOUR, actions: Space = TWO, limit: int | None = None, **environment: object):
    return Description(observations, actions, environment, limit)


def _words(description: Description, **more: bool) -> list[str]:
    return chosen(description, "folder", **{"trust": False, "elsewhere": False, **more}).words


def test_what_gymnasium_makes_is_run() -> None:
    assert _words(_described(id="CartPole-v0", limit=77)) == [
        "env=recorded_control", '++env.id="CartPole-v0"', '++env.name="CartPole-v0"', "++env.max_steps=77",
    ]  # fmt: skip


def test_arguments_of_the_constructor() -> None:
    words = _words(_described(id="CartPole-v0", kwargs={"sutton_barto_reward": True}))
    assert "++env.kwargs.sutton_barto_reward=true" in words
    unknown = chosen(_described(id="CartPole-v0", kwargs={"foo": 1}), "folder", False, False)
    assert unknown.recorded
    assert "CartPole-v0 cannot be made" in unknown.remark


def test_numbered_states_are_flattened() -> None:
    words = _words(_described(Space(n=16), Space(n=4), id="FrozenLake-v1"))
    assert '++env.wrappers=["FlattenObservation"]' in words


def test_vectors_as_actions_have_a_model_of_their_own() -> None:
    words = _words(_described(Space(shape=(24,)), Space(shape=(4,)), id="BipedalWalker-v3"))
    assert words[0] == "env=recorded_control"
    assert "model=continuous" in words
    assert "env=pendulum_v1" in _words(_described(Space(shape=(3,)), Space(shape=(1,)), id="Pendulum-v1"))


@pytest.mark.parametrize(
    ("description", "said"),
    [
        (
            _described(Space(shape=(24,)), Space(shape=(3,)), id="BipedalWalker-v3"),
            "has other spaces than were recorded",
        ),
        (_described(Space(n=7), id="CartPole-v0"), "has other spaces than were recorded, Box"),
        (_described(actions=Space(n=3), id="CartPole-v0"), "has other spaces than were recorded"),
        (_described(id="nowhere_installed:Foo-v0"), "nowhere_installed is not installed"),
        (_described(id="mo_foo.bar:Foo-v0"), "mo_foo.bar is not installed"),
    ],
)
def test_what_no_policy_is_trained_in_is_left_out(description: Description, said: str) -> None:
    choice = chosen(description, "folder", False, False)
    assert (choice.words[0], choice.recorded) == ("env=recorded", True)
    assert said in choice.remark


def test_an_environment_that_fails_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails() -> gymnasium.Env:
        raise RuntimeError("no\ndisplay")

    monkeypatch.setitem(gymnasium.registry, "Bad-v0", gymnasium.envs.registration.EnvSpec("Bad-v0", fails))
    assert chosen(_described(id="Bad-v0"), "folder", False, False).remark == "Bad-v0 cannot be made (no display)"


@pytest.mark.parametrize("environment", [{}, {"id": "Foo-v0"}, {"option": "maze"}])
def test_nothing_is_made_that_nobody_has(environment: dict, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gymnasium, "make", None)
    assert chosen(_described(**environment), "folder", False, False).recorded


@pytest.mark.parametrize("name", ["ns/Foo Bar-v0", "..", "Foo-v0" * 40])
def test_names_are_those_that_runs_can_have(name: str) -> None:
    from mavrl.configuration.rules import RULES

    words = _words(_described(id=name))
    value = words[1].partition("=")[2].strip('"') if len(words) > 1 else "recorded"
    assert RULES["env.name"].holds(value)


def test_pictures_are_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"observations of the shape \(8, 8, 3\); .* vectors or numbers"):
        _words(_described(Space(shape=(8, 8, 3), dtype="uint8")))


class TestTrust:
    """A folder from elsewhere cannot have code run by naming it."""

    @pytest.fixture(autouse=True)
    def _module(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
        (tmp_path / "mischief.py").write_text("import gymnasium, sys\nsys.modules['done'] = sys\n")
        monkeypatch.syspath_prepend(tmp_path)
        yield
        sys.modules.pop("mischief", None)
        sys.modules.pop("done", None)

    @pytest.mark.parametrize(
        "environment", [{"id": "mischief:Foo-v0"}, {"option": "cartpole_v1", "settings": {"id": "mischief:Foo-v0"}}]
    )
    def test_a_module_is_not_imported(self, environment: dict):
        with pytest.raises(ConfigurationError, match=r"code in the module mischief; trust=true imports it, env=rec"):
            _words(_described(**environment))
        assert "done" not in sys.modules

    def test_unless_it_is_trusted(self):
        choice = chosen(_described(id="mischief:Foo-v0"), "folder", True, False)
        assert choice.remark == "Foo-v0 is not registered with Gymnasium"
        assert "done" in sys.modules


def test_spaces_are_those_of_gymnasium() -> None:
    assert Space.from_gymnasium(Discrete(2)) == TWO
    assert Space.from_gymnasium(Box(-1, 1, (4,))).shape == FOUR.shape
