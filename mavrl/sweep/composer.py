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
from mavrl.configuration.known import put, value_of
from mavrl.configuration.registry import subsets

# Resolvers that read nothing but what their text names.
_PURE = {"oc.env", "oc.select", "oc.decode", "minibatch", "steps_of_update"}


class Composed(NamedTuple):
    """The configuration of a job, and the same with all interpolations resolved.

    Args:
        config: the configuration, Hydra's included.
        resolved: the same without Hydra's, valid until the next job is composed; `config` itself where something in it
            cannot be resolved.
        values: the same as plain values.
    """

    config: DictConfig
    resolved: DictConfig
    values: dict[str, Any]


class _Composition(NamedTuple):
    """What jobs with the same groups share.

    Args:
        config: the configuration, pickled, which is the quickest copy.
        resolved: it without interpolations; None where something cannot be resolved.
        values: the same as plain values, pickled.
        references: the names that each value refers to which is an interpolation.
    """

    config: bytes
    resolved: DictConfig | None
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
        self._undo: list[tuple[DictConfig, str, Any]] = []  # what the last job has changed in what jobs share
        files = [source for source in loader.get_sources() if source.scheme() != "structured"]
        self._subsets = {} if any(source.is_group("modality") for source in files) else dict(subsets())

    def __call__(self, overrides: Sequence[str]) -> DictConfig:
        """The configuration of a job, Hydra's included.

        Args:
            overrides: words of the command line that make the job.

        Raises:
            HydraException: the overrides cannot be composed.
        """
        return self.compose(overrides).config

    def compose(self, overrides: Sequence[str]) -> Composed:
        """The configuration of a job, as it is and resolved.

        To resolve interpolations takes longer than all else, so only those are that refer to what the job changes.
        """
        while self._undo:
            node, name, value = self._undo.pop()
            node[name] = value
        parsed = [_parsed(word) for word in overrides]
        values = [override for override in parsed if self._is_value(override)]
        rest = tuple(str(override.input_line) for override in parsed if override not in values)
        if rest not in self._composed:
            self._composed[rest] = _composition(self._loader.load_sweep_config(self._master, list(rest)))
        shared = self._composed[rest]
        config = pickle.loads(shared.config)  # our own
        try:
            changed = {key: _put(config, key, value) for key, value in self._changes(values).items()}
        except OmegaConfBaseException:  # Hydra says what is wrong
            config = self._loader.load_sweep_config(self._master, list(overrides))
            return Composed(config, config, resolved(config))
        if values:
            with read_write(config.hydra):
                task = [override for override in parsed if not override.is_hydra_override()]
                config.hydra.overrides.task = [override.input_line for override in task]
                for override in values:
                    if override.key_or_group == "modality":
                        config.hydra.runtime.choices.modality = override.value()
        found = pickle.loads(shared.values)
        for key in [*changed, *_referring(shared.references, changed)]:
            put(found, key, resolved_value(config, key))
            if shared.resolved is not None:
                self._put_for_now(shared.resolved, key, value_of(found, key))
        return Composed(config, config if shared.resolved is None else shared.resolved, found)

    def _changes(self, values: Sequence[Override]) -> dict[str, Any]:
        """The values of the keys that overrides change; a subset of feedback is two of them."""
        found: dict[str, Any] = {}
        for override in values:
            value = override.value()
            if override.key_or_group == "modality":
                found = {"modality.name": value, "modality.active": self._subsets[str(value)], **found}
            else:
                found[override.key_or_group] = value
        return found

    def _put_for_now(self, config: DictConfig, key: str, value: Any) -> None:
        parent, _, name = key.rpartition(".")
        node = OmegaConf.select(config, parent) if parent else config
        before = node[name]
        self._undo.append((node, name, OmegaConf.to_container(before) if OmegaConf.is_config(before) else before))
        node[name] = value

    def _is_value(self, override: Override) -> bool:
        """Whether it changes a key that is there, and neither a group nor Hydra itself."""
        if override.type != OverrideType.CHANGE or override.is_hydra_override():
            return False
        key = override.key_or_group
        if key == "modality" and override.package is None and not override.is_sweep_override():
            return override.value() in self._subsets
        if key not in self._groups:
            self._groups[key] = bool(self._loader.get_group_options(key))
        return not self._groups[key] and override.package is None


@cache
def _parsed(word: str) -> Override:
    return OverridesParser.create().parse_override(word)


def _put(config: DictConfig, key: str, value: Any) -> None:
    """Set a key that is there.

    Raises:
        OmegaConfBaseException: it is not, or the value does not fit.
    """
    parent, _, name = key.rpartition(".")
    node = OmegaConf.select(config, parent) if parent else config
    if isinstance(value, dict) or not OmegaConf.is_dict(node) or name not in node:
        OmegaConf.update(config, key, value, merge=True)
    else:
        node[name] = value  # many times as fast


def _composition(config: DictConfig) -> _Composition:
    raw = OmegaConf.to_container(config, resolve=False)
    assert isinstance(raw, dict)
    references = {
        key: frozenset(_names(text))
        for key, text in _texts({name: value for name, value in raw.items() if name != "hydra"})
        if "${" in text
    }
    values = resolved(config)
    try:
        without_references = OmegaConf.create(values)
    except OmegaConfBaseException:
        without_references = None
    return _Composition(pickle.dumps(config), without_references, pickle.dumps(values), references)


def _names(text: str) -> set[str]:
    """The dotted names in an interpolation; a star where it may be of any, as in a relative one."""
    anything = re.search(r"[{:,]\s*\.", text) or set(re.findall(r"\$\{\s*([\w.]+)\s*:", text)) - _PURE
    return ({"*"} if anything else set()) | {name.strip(".") for name in re.findall(r"[A-Za-z_][\w.]*", text)}


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
