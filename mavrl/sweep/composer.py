"""Configurations of many jobs, whose groups are composed once for each choice of them."""

import pickle
from collections.abc import Sequence

from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, OverrideType
from omegaconf import DictConfig, OmegaConf, read_write
from omegaconf.errors import OmegaConfBaseException


class Composer:
    """Composes the configuration of a job as Hydra does, several times as fast where jobs share their groups.

    Hydra reads and merges all files for every job. Here jobs that differ in plain values only, such as seed=3, are
    copies of one composition into which the values are put.

    Args:
        loader: Hydra's loader of configurations.
        master: the configuration of the sweep.
    """

    def __init__(self, loader: ConfigLoader, master: DictConfig) -> None:
        self._loader, self._master = loader, master
        self._groups: dict[str, bool] = {}
        self._composed: dict[tuple[str, ...], bytes] = {}

    def __call__(self, overrides: Sequence[str]) -> DictConfig:
        """The configuration of a job, Hydra's included.

        Args:
            overrides: words of the command line that make the job.

        Raises:
            HydraException: the overrides cannot be composed.
        """
        parsed = OverridesParser.create().parse_overrides(list(overrides))
        values = [override for override in parsed if self._is_value(override)]
        rest = tuple(str(override.input_line) for override in parsed if override not in values)
        if rest not in self._composed:
            self._composed[rest] = pickle.dumps(self._loader.load_sweep_config(self._master, list(rest)))
        config = pickle.loads(self._composed[rest])  # our own: the quickest copy
        if values:
            try:
                for override in values:
                    OmegaConf.update(config, override.key_or_group, override.value(), merge=True)
            except OmegaConfBaseException:  # Hydra says what is wrong
                return self._loader.load_sweep_config(self._master, list(overrides))
            with read_write(config.hydra):
                task = [override for override in parsed if not override.is_hydra_override()]
                config.hydra.overrides.task = [override.input_line for override in task]
        return config

    def _is_value(self, override: Override) -> bool:
        """Whether it changes a key that is there, and neither a group nor Hydra itself."""
        if override.type != OverrideType.CHANGE or override.is_hydra_override():
            return False
        key = override.key_or_group
        if key not in self._groups:
            self._groups[key] = bool(self._loader.get_group_options(key))
        return not self._groups[key] and override.package is None
