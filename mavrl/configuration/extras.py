"""Packages that not every installation has, and the settings that need them.

Nothing here imports torch: a missing package must not be found after seconds.
"""

import re
from importlib.util import find_spec
from typing import NamedTuple

from omegaconf import DictConfig, OmegaConf

from mavrl.errors import ConfigurationError


class _Need(NamedTuple):
    """Values of a key that need a package.

    Args:
        path: of the value in the configuration.
        key: that the command line has for it.
        values: pattern of those that need the package.
        package: by the name of its import.
        extra: of this package, which installs it.
    """

    path: str
    key: str
    values: str
    package: str
    extra: str


_NEEDS = (
    _Need("logger.name", "logger", "tensorboard", "tensorboard", "tensorboard"),
    _Need("logger.name", "logger", "wandb", "wandb", "wandb"),
    _Need("env.id", "env.id", r"mo_gymnasium:.*", "mo_gymnasium", "multi"),
    _Need("env.id", "env.id", r"highway_env:.*", "highway_env", "highway"),
    _Need("search.storage", "search.storage", r"postgresql(\+psycopg)?://.*", "psycopg", "postgres"),
)


def check_extras(config: DictConfig) -> None:
    """Refuse a configuration that needs a package which is not installed.

    Raises:
        ConfigurationError: for the first such value; it says how to install the package.
    """
    for need in _NEEDS:
        value = OmegaConf.select(config, need.path)
        if isinstance(value, str) and re.fullmatch(need.values, value) and not _installed(need.package):
            allowed = f'needs {need.package}, which is not installed; pip install "mavrl[{need.extra}]"'
            raise ConfigurationError(need.key, value, allowed)


def _installed(package: str) -> bool:
    spec = find_spec(package)
    return spec is not None and spec.origin is not None  # a folder of that name, such as wandb/, has no origin
