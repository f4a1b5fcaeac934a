"""The settings of a finished run, for tasks that go on with its reward model."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from mavrl.configuration.settings import RunSettings
from mavrl.errors import ConfigurationError


def run_directory(config: DictConfig) -> Path:
    """The directory in `run_dir`.

    Raises:
        ConfigurationError: it is not the directory of a finished run.
    """
    directory = Path(config.run_dir) if config.run_dir else None
    if directory is None or not (directory / "reward_model").is_dir():
        raise ConfigurationError("run_dir", config.run_dir, "must be the directory of a finished run")
    return directory


def trained_settings(
    config: DictConfig, execution: Sequence[str] = (), changed: Mapping[str, object] | None = None
) -> RunSettings:
    """The settings of the run in `run_dir`.

    Args:
        execution: keys that this task's own configuration says, not the run's.
        changed: keys of `env` that are to have other values.

    Raises:
        ConfigurationError: it is not the directory of a finished run.
    """
    trained = OmegaConf.load(run_directory(config) / ".hydra" / "config.yaml")
    assert isinstance(trained, DictConfig)
    moved = OmegaConf.merge(trained, {"env": dict(changed or {}), **{key: config[key] for key in execution}})
    assert isinstance(moved, DictConfig)
    return RunSettings.from_config(moved)
