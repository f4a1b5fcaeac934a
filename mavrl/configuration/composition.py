"""Configurations composed of conf/ by programs, as the command line composes them."""

from pathlib import Path

import hydra
from hydra.core.global_hydra import GlobalHydra
from omegaconf import DictConfig, open_dict

from mavrl.configuration.check import check, register_with_hydra


def configuration_directory() -> Path:
    """The folder conf/, which an installed package holds, and the repository has beside it."""
    package = Path(__file__).resolve().parents[1]
    installed = package / "conf"
    return installed if installed.is_dir() else package.parent / "conf"


def compose(*overrides: str) -> DictConfig:
    """The checked configuration that `python run.py` makes of these words, such as "env=grid_trap".

    Raises:
        ConfigurationError: it cannot work.
    """
    return compose_with_hydra(*overrides)[0]


def compose_with_hydra(*overrides: str) -> tuple[DictConfig, DictConfig]:
    """The checked configuration of `compose`, and what Hydra says of itself: options of groups, and the words.

    Raises:
        ConfigurationError: it cannot work.
    """
    register_with_hydra()
    GlobalHydra.instance().clear()
    with hydra.initialize_config_dir(str(configuration_directory())):
        config = hydra.compose("config", list(overrides), return_hydra_config=True)
        check(config)
    own = config.hydra
    with open_dict(config):
        del config["hydra"]
    return config, own
