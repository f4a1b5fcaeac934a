"""Which option of the group `env` stands for the environment of a folder.

One that is about it. Where there is none, it is `recorded_control` for what Gymnasium can make and policies can be
trained in, and `recorded` for everything else.
"""

import importlib
import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import yaml

from mavrl.configuration.composition import configuration_directory
from mavrl.configuration.plain import flatten, quoted
from mavrl.errors import ConfigurationError
from mavrl.folder.description import Description, Space
from mavrl.folder.learnable import check_observations, has_numbered_actions

RECORDED, GENERIC = "recorded", "recorded_control"  # options for what no other one is about


@dataclass(frozen=True)
class Choice:
    """An option for the environment of a folder.

    Args:
        words: of the command line that choose it.
        remark: why nobody can run the environment; empty where somebody can.
        recorded: whether nobody can.
    """

    words: list[str]
    remark: str = ""
    recorded: bool = False


def chosen(description: Description, place: str, trust: bool, elsewhere: bool) -> Choice:
    """The option for the environment of a folder.

    Args:
        description: of the folder.
        place: of the folder, for messages.
        trust: whether code may be imported that only the folder names.
        elsewhere: whether there are options in another directory, too.

    Raises:
        ConfigurationError: the folder names code that this command does not trust, or its observations are pictures
            that nothing can be learned from.
    """
    environment = description.environment
    name, kwargs = environment.get("id"), dict(environment.get("kwargs", {}))
    settings = {**environment.get("settings", {}), **({"kwargs": kwargs} if kwargs else {})}
    _check_trust(settings.get("id"), place, trust)
    option = environment.get("option")
    if option is not None and (elsewhere or option in (path.stem for path in _options())):
        return _option(option, settings)
    if name is None:
        what = "it names no environment" if option is None else f"{option} is no option of env here"
        return recorded(description, place, what)
    module = name.rpartition(":")[0]
    if module and not _is_installed(module):
        return recorded(description, place, f"{module} is not installed")
    if (option := _option_of(name)) is not None:
        return _option(option, settings)
    _check_trust(name, place, trust)
    made = _spaces(name, kwargs)
    if isinstance(made, str):
        return recorded(description, place, made)
    if (why := _why_not(description, *made)) is not None:
        return recorded(description, place, why)
    settings |= {"id": name, "name": _name(name) or GENERIC}
    if description.max_steps is not None:
        settings["max_steps"] = description.max_steps
    if description.observation_space.n is not None:
        settings["wrappers"] = ["FlattenObservation"]
    choice = _option(GENERIC, settings)
    if description.action_space.n is None:
        choice.words.append("model=continuous")
    return choice


def recorded(description: Description, place: str, why: str = "") -> Choice:
    """The option for behaviour of an environment that nobody can run.

    Args:
        description, place: as for `chosen`.
        why: nobody can; empty where that is the user's wish.

    Raises:
        ConfigurationError: nothing can be learned from its observations.
    """
    check_observations(description, place)
    environment = description.environment
    name = _name(environment.get("id") or environment.get("option") or "")
    words = [f"++env.name={quoted(name)}"] if name else []
    if not has_numbered_actions(description):  # there is no Q of vectors, and no reward that they are an input of
        words += ["model.q=learned", "model.reward_domain=s"]
    return Choice([f"env={RECORDED}", *words], why, True)


def _option(name: str, settings: Mapping[str, Any]) -> Choice:
    return Choice([f"env={name}", *(f"++env.{key}={quoted(value)}" for key, value in flatten(settings).items())])


def _name(name: str) -> str:
    """The name of an environment as runs have it; empty where nothing of it is left."""
    return re.sub(r"[^\w.=+-]", "_", name.rpartition(":")[2]).lstrip(".=+-")[:100]


def _check_trust(name: object, place: str, trust: bool) -> None:
    """Refuse a module that only the folder names."""
    module = str(name or "").rpartition(":")[0]
    if module and not trust:
        allowed = f"its environment is code in the module {module}; trust=true imports it, env={RECORDED} leaves it out"
        raise ConfigurationError("data", place, allowed)


def _options() -> list[Path]:
    return sorted((configuration_directory() / "env").glob("*.yaml"))


def _option_of(name: str) -> str | None:
    """The option of the group env that is about the Gymnasium environment with this id."""
    found = [path.stem for path in _options() if _id_of(path) == name]
    return min(found, key=len, default=None)


def _id_of(path: Path) -> str | None:
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    return content.get("id") if isinstance(content, dict) else None


# Gymnasium -----------------------------------------------------------------------------------------------------------


def _is_installed(module: str) -> bool:
    try:
        return find_spec(module.partition(".")[0]) is not None
    except (ImportError, ValueError):
        return False


def _spaces(name: str, kwargs: Mapping[str, Any]) -> tuple[Any, Any] | str:
    """The spaces of observations and actions of an environment that Gymnasium makes; why it cannot, in words."""
    import gymnasium

    module, _, own = name.rpartition(":")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if module:
                importlib.import_module(module)
            if own not in gymnasium.registry:
                return f"{own} is not registered with Gymnasium"
            env = gymnasium.make(name, **{"disable_env_checker": True, **kwargs})
            env.close()
    except Exception as error:  # of whatever kind the environment raises
        return f"{own} cannot be made ({' '.join(f'{error or type(error).__name__}'.split())})"
    return env.observation_space, env.action_space


def _is_box(space: Any) -> bool:
    """Whether it holds vectors between finite bounds."""
    return type(space).__name__ == "Box" and len(space.shape) == 1 and bool(space.is_bounded())


def _why_not(description: Description, observations: Any, actions: Any) -> str | None:
    """Why no policy can be trained in an environment that can be made; None where one can."""
    name = description.environment["id"]
    if type(actions).__name__ != "Discrete" and not _is_box(actions):
        return f"{name} has the actions {actions}, and policies are trained on numbers or on vectors between bounds"
    kind, axes = type(observations).__name__, len(observations.shape or ())
    if kind != "Discrete" and (kind != "Box" or axes != 1):
        return f"{name} has the observations {observations}, and policies are trained on vectors"
    there = [Space.from_gymnasium(space) for space in (observations, actions)]
    sizes = [(space.n, space.shape) for space in there]
    if sizes != [(space.n, space.shape) for space in (description.observation_space, description.action_space)]:
        return f"{name} has other spaces than were recorded, {observations} and {actions}"
    return None
