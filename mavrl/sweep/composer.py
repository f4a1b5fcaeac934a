"""Configurations of many jobs, whose groups are composed once for each choice of them."""

import pickle
import re
from collections.abc import Collection, Iterator, Sequence
from functools import cache
from typing import Any, NamedTuple

from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, OverrideType
from omegaconf import DictConfig, OmegaConf, read_write
from omegaconf.errors import OmegaConfBaseException

from mavrl.configuration.check import resolved, resolved_value
from mavrl.configuration.known import put


class _Composition(NamedTuple):
    """What jobs with the same groups share.

    Args:
        config: the configuration, pickled, which is the quickest copy.
        values: its values, resolved and pickled.
        references: the names that each value refers to which is an interpolation.
    """

    config: bytes
    values: bytes
    references: dict[str, frozenset[str]]


class Composer:
    """Composes the configuration of a job as Hydra does, many times as fast where jobs share their groups.

    Hydra reads and merges all files for every job. Here jobs that differ in plain values only, such as seed=3, are
    copies of one composition into which the values are put.

    Args:
        loader: Hydra's loader of configurations.
        master: the configuration of the sweep.
    """

    def __init__(self, loader: ConfigLoader, master: DictConfig) -> None:
        self._loader, self._master = loader, master
        self._groups: dict[str, bool] = {}
        self._composed: dict[tuple[str, ...], _Composition] = {}

    def __call__(self, overrides: Sequence[str]) -> DictConfig:
        """The configuration of a job, Hydra's included.

        Args:
            overrides: words of the command line that make the job.

        Raises:
            HydraException: the overrides cannot be composed.
        """
        return self.compose(overrides)[0]

    def compose(self, overrides: Sequence[str]) -> tuple[DictConfig, dict[str, Any]]:
        """The configuration of a job, and its values, resolved, without Hydra's.

        To resolve interpolations takes longer than all else, so only those are that refer to what the job changes.
        """
        parsed = [_parsed(word) for word in overrides]
        values = [override for override in parsed if self._is_value(override)]
        rest = tuple(str(override.input_line) for override in parsed if override not in values)
        if rest not in self._composed:
            self._composed[rest] = _composition(self._loader.load_sweep_config(self._master, list(rest)))
        shared = self._composed[rest]
        config = pickle.loads(shared.config)  # our own
        if not values:
            return config, pickle.loads(shared.values)
        try:
            for override in values:
                OmegaConf.update(config, override.key_or_group, override.value(), merge=True)
        except OmegaConfBaseException:  # Hydra says what is wrong
            config = self._loader.load_sweep_config(self._master, list(overrides))
            return config, resolved(config)
        with read_write(config.hydra):
            task = [override for override in parsed if not override.is_hydra_override()]
            config.hydra.overrides.task = [override.input_line for override in task]
        changed = {override.key_or_group for override in values}
        found = pickle.loads(shared.values)
        for key in [*changed, *_referring(shared.references, changed)]:
            put(found, key, resolved_value(config, key))
        return config, found

    def _is_value(self, override: Override) -> bool:
        """Whether it changes a key that is there, and neither a group nor Hydra itself."""
        if override.type != OverrideType.CHANGE or override.is_hydra_override():
            return False
        key = override.key_or_group
        if key not in self._groups:
            self._groups[key] = bool(self._loader.get_group_options(key))
        return not self._groups[key] and override.package is None


@cache
def _parsed(word: str) -> Override:
    return OverridesParser.create().parse_override(word)


def _composition(config: DictConfig) -> _Composition:
    raw = OmegaConf.to_container(config, resolve=False)
    assert isinstance(raw, dict)
    references = {
        key: frozenset(_names(text))
        for key, text in _texts({name: value for name, value in raw.items() if name != "hydra"})
        if "${" in text
    }
    return _Composition(pickle.dumps(config), pickle.dumps(resolved(config)), references)


def _names(text: str) -> set[str]:
    """The dotted names in an interpolation; those that are relative may be any, which a star says."""
    relative = {"*"} if re.search(r"[{:,]\s*\.", text) else set()
    return relative | {name.strip(".") for name in re.findall(r"[A-Za-z_][\w.]*", text)}


def _texts(value: Any, key: str = "") -> Iterator[tuple[str, str]]:
    """The texts in nested values, by their keys; those in a list have the key of the list."""
    if isinstance(value, dict):
        for name, child in value.items():
            yield from _texts(child, f"{key}.{name}".lstrip("."))
    elif isinstance(value, list):
        for child in value:
            yield from _texts(child, key)
    elif isinstance(value, str):
        yield key, value


def _referring(references: dict[str, frozenset[str]], changed: Collection[str]) -> list[str]:
    """The keys whose values refer to changed ones, directly or through others; also what only may refer to them."""
    found: list[str] = []
    moved, last = set(changed), set(changed)
    while last:
        last = {
            key
            for key, names in references.items()
            if key not in moved and any(_concerns(name, other) for name in names for other in last)
        }
        moved |= last
        found += sorted(last)
    return found


def _concerns(name: str, key: str) -> bool:
    """Whether a name in an interpolation is that of a key, of a part that it is in, or of one in it."""
    return name in (key, "*") or key.startswith(f"{name}.") or name.startswith(f"{key}.")
