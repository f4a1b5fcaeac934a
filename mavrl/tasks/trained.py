"""The settings of a finished run, for tasks that go on with its reward model."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from mavrl.configuration.plain import written
from mavrl.configuration.settings import RunSettings
from mavrl.errors import ConfigurationError
from mavrl.storage.files import read_json
from mavrl.storage.filters import read_conditions, same_value

_OF_COMMAND = ("task", "run_dir", "paths", "processes", "progress", "threads", "device")  # never of the run


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
    """The configuration of the run in `run_dir`.

    Raises:
        ConfigurationError: it is not the directory of a finished run.
    """
    trained = OmegaConf.load(run_directory(config) / ".hydra" / "config.yaml")
    assert isinstance(trained, DictConfig)
    return trained


def trained_settings(
    config: DictConfig, execution: Sequence[str] = (), changed: Mapping[str, Any] | None = None
) -> RunSettings:
    """The settings of the run in `run_dir`.

    Args:
        execution: keys that this task's own configuration says, not the run's.
        changed: keys that are to have other values, with these values.

    Raises:
        ConfigurationError: it is not the directory of a finished run.
    """
    moved = trained_config(config)
    for key in execution:
        OmegaConf.update(moved, key, OmegaConf.select(config, key), merge=False, force_add=True)
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
    hydra, trained = HydraConfig.get(), trained_config(config)
    choices = (read_json(run_directory(config) / "config.json") or {}).get("choices", {})
    taken = (*used, *_OF_COMMAND)
    found = []
    for condition in read_conditions(hydra.overrides.task, set(hydra.runtime.choices)):
        if any(condition.key == key or condition.key.startswith(f"{key}.") for key in taken):
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
