"""The environment of a command or of a run as dataset.json describes it, and whether a folder's is the same."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from mavrl.configuration.identity import which_environment
from mavrl.configuration.plain import plain, written
from mavrl.errors import ConfigurationError
from mavrl.folder.description import Description
from mavrl.folder.environment import chosen
from mavrl.storage.contents import read_config


def commanded(config: DictConfig) -> dict[str, Any]:
    """The environment of this command: its option, and what the command has changed."""
    hydra = HydraConfig.get()
    return _described(config, str(hydra.runtime.choices["env"]), hydra.overrides.task)


def trained(config: DictConfig, directory: Path) -> dict[str, Any]:
    """The environment of a run: its option, and what the run's command and this one have changed.

    Args:
        config: of the run.
        directory: of the run.
    """
    content = read_config(directory)
    words = [*content.get("overrides", []), *HydraConfig.get().overrides.task]
    return _described(config, str(content.get("choices", {}).get("env", config.env.name)), words)


def check_same(place: Path, description: Description, config: DictConfig) -> None:
    """Refuse a folder whose episodes are of another environment than the configured one.

    What decides is what the environment is, not the words that describe it. A folder that names none is taken as it is.

    Raises:
        ConfigurationError: it is another one.
    """
    if not description.environment:
        return
    words = chosen(description, str(place), bool(config.trust), elsewhere=True).words
    there = GlobalHydra.instance().config_loader().load_configuration("config", words, RunMode.RUN)
    held, wanted = (which_environment(plain(each.env)) for each in (there, config))
    differing = [key for key in held | wanted if held.get(key) != wanted.get(key)]
    if differing:
        named = {"name": there.env.name}, {"name": config.env.name}
        key = "name" if named[0] != named[1] else differing[0]
        values = (written((each | name).get(key)) for each, name in zip((held, wanted), named, strict=True))
        allowed = f"has episodes of another environment: env.{key}={', and not '.join(values)}"
        raise ConfigurationError("data", place, allowed)


def _described(config: DictConfig, option: str, words: Iterable[str]) -> dict[str, Any]:
    keys = [word.partition("=")[0].lstrip("+~") for word in words]
    changed = {key.removeprefix("env."): OmegaConf.select(config, key) for key in keys if key.startswith("env.")}
    settings = {key: OmegaConf.to_container(x) if OmegaConf.is_config(x) else x for key, x in changed.items()}
    return {"option": option, **({"settings": settings} if settings else {})}
