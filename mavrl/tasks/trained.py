"""The settings of a finished run, for tasks that go on with its reward model."""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from mavrl.configuration.check import check
from mavrl.configuration.identity import is_execution
from mavrl.configuration.plain import written
from mavrl.configuration.settings import RunSettings
from mavrl.configuration.trust import check_trust
from mavrl.errors import ConfigurationError
from mavrl.storage.contents import read_config
from mavrl.storage.filters import read_conditions, same_value

_OF_COMMAND = (  # never of the run
    "task", "run_dir", "paths", "processes", "progress", "threads", "device", "trust", "logger", "figures",
)  # fmt: skip


def run_directory(config: DictConfig) -> Path:
    """The directory in `run_dir`.

    Raises:
        ConfigurationError: it is not the directory of a finished run.
    """
    directory = Path(config.run_dir) if config.run_dir else None
    if directory is None or not (directory / "reward_model").is_dir():
        raise ConfigurationError("run_dir", config.run_dir, "must be the directory of a finished run")
    return directory


def trained_config(config: DictConfig) -> DictConfig:
    """The configuration of the run in `run_dir`, checked like one of a command.

    What makes its result is the run's; where things are and how it is executed, the paths first of all, this command
    says.

    Raises:
        ConfigurationError: it is not the directory of a finished run, its configuration cannot work, or it names code
            that this command does not trust.
    """
    directory = run_directory(config)
    path = directory / ".hydra" / "config.yaml"
    own = {key: value for key, value in _raw(_loaded(path)).items() if not is_execution(key)}
    moved = OmegaConf.create({**_raw(config), **own})
    try:
        check(moved, choices={})
    except ConfigurationError as error:
        raise ConfigurationError(error.key, error.value, f"{error.allowed}; in {path}") from error
    check_trust(config, OmegaConf.select(moved, "env.id"), directory)
    return moved


def trained_settings(config: DictConfig, changed: Mapping[str, Any] | None = None) -> RunSettings:
    """The settings of the run in `run_dir`.

    Args:
        changed: keys that are to have other values, with these values.

    Raises:
        ConfigurationError: as `trained_config` does.
    """
    moved = trained_config(config)
    for key, value in (changed or {}).items():
        OmegaConf.update(moved, key, value, merge=True, force_add=True)
    return RunSettings.from_config(moved)


def given(config: DictConfig, used: Collection[str] = ()) -> list[str]:
    """The keys that the command line gives to a task which goes on with a run, and that the task uses.

    A setting of the run may be said again. One that the run does not have, and that the task does not use, would be
    ignored, and is refused.

    Args:
        used: keys, or the beginnings of keys, that the task takes from the command beside where and how it works.

    Raises:
        ConfigurationError: for the first override that would be ignored.
    """
    hydra, directory = HydraConfig.get(), run_directory(config)
    trained, choices = _loaded(directory / ".hydra" / "config.yaml"), read_config(directory).get("choices", {})
    found = []
    for condition in read_conditions(hydra.overrides.task, set(hydra.runtime.choices)):
        if condition.key.partition(".")[0] in _OF_COMMAND:
            continue
        if any(condition.key == key or condition.key.startswith(f"{key}.") for key in used):
            found.append(condition.key)
            continue
        key = condition.key
        has = choices.get(key, _value(trained, f"{key}.name")) if condition.is_group else _value(trained, key)
        if not same_value(has, condition.value):
            more = f"; of the settings only {', '.join(used)} can be others" if used else ""
            allowed = f"the run has {key}={written(has)}, and task={config.task.name} takes it as it is{more}"
            raise ConfigurationError(key, written(condition.value), allowed)
    return found


def _value(trained: DictConfig, key: str) -> Any:
    value = OmegaConf.select(trained, key)
    return OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value


def _loaded(path: Path) -> DictConfig:
    try:
        loaded = OmegaConf.load(path)
    except (YAMLError, OmegaConfBaseException, OSError, ValueError) as error:
        why = f"{path.name} is damaged: {str(error).splitlines()[0]}"
        raise ConfigurationError("run_dir", path.parents[1], why) from error
    if not isinstance(loaded, DictConfig) or not OmegaConf.is_dict(loaded.get("env")):
        raise ConfigurationError("run_dir", path.parents[1], f"{path.name} is no configuration")
    return loaded


def _raw(config: DictConfig) -> dict[str, Any]:
    values = OmegaConf.to_container(config, resolve=False)
    assert isinstance(values, dict)
    return {str(key): value for key, value in values.items()}
