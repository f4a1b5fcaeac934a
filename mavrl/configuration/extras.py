"""Packages that not every installation has, and the settings that need them.

Nothing here imports torch: a missing package must not be found after seconds.
"""

import re
from importlib.util import find_spec
from itertools import groupby
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


_MUJOCO = (  # Gymnasium's, and those of mo-gymnasium
    r"(mo_gymnasium:mo-)?(Ant|HalfCheetah|Hopper|Humanoid|HumanoidStandup|InvertedDoublePendulum|InvertedPendulum|"
    r"Pusher|Reacher|Swimmer|Walker2d)(-\w+)?-v\d+"
)
_NEEDS = (
    _Need("logger.name", "logger", "tensorboard", "tensorboard", "tensorboard"),
    _Need("logger.name", "logger", "wandb", "wandb", "wandb"),
    _Need("env.id", "env.id", r"mo_gymnasium:.*", "mo_gymnasium", "multi"),
    _Need("env.id", "env.id", _MUJOCO, "mujoco", "mujoco"),
    _Need("env.id", "env.id", r"highway_env:.*", "highway_env", "highway"),
    _Need("search.storage", "search.storage", r"postgresql(\+psycopg)?://.*", "psycopg", "postgres"),
)


def check_extras(config: DictConfig) -> None:
    """Refuse a configuration that needs a package which is not installed.

    Raises:
        ConfigurationError: for the first such value; it says how to install the package.
    """
    for path, needs in groupby(_NEEDS, lambda need: need.path):
        value = OmegaConf.select(config, path)
        if isinstance(value, str) and (missing := [need for need in needs if _is_missing(need, value)]):
            packages = " and ".join(need.package for need in missing)
            extras = ",".join(need.extra for need in missing)
            are = "is" if len(missing) == 1 else "are"
            allowed = f'needs {packages}, which {are} not installed; pip install "mavrl[{extras}]"'
            raise ConfigurationError(missing[0].key, value, allowed)


def _is_missing(need: _Need, value: str) -> bool:
    return re.fullmatch(need.values, value, re.IGNORECASE) is not None and not _installed(need.package)


def _installed(package: str) -> bool:
    spec = find_spec(package)
    return spec is not None and spec.origin is not None  # a folder of that name, such as wandb/, has no origin
