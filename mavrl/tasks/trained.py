"""The settings of a finished run, for tasks that go on with its reward model."""

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


def trained_settings(config: DictConfig, **changed_environment: object) -> RunSettings:
    """The settings of the run in `run_dir`, executed as this task is told to.

    Args:
        changed_environment: keys of `env` that are to have other values.

    Raises:
        ConfigurationError: it is not the directory of a finished run.
    """
    trained = OmegaConf.load(run_directory(config) / ".hydra" / "config.yaml")
    assert isinstance(trained, DictConfig)
    execution = {key: config[key] for key in ("progress", "processes", "threads", "device", "paths")}
    moved = OmegaConf.merge(trained, {"env": changed_environment, **execution})
    assert isinstance(moved, DictConfig)
    return RunSettings.from_config(moved)
