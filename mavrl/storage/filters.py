"""Which runs a command line asks for: its overrides are conditions on their configurations."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override

from mavrl.configuration.identity import is_execution
from mavrl.configuration.plain import written
from mavrl.errors import ConfigurationError
from mavrl.storage.index import Run
from mavrl.storage.sweeps import PlannedRun

_ABSENT = object()


@dataclass(frozen=True)
class Filter:
    """One condition: a group's option by its name, or the value of a key.

    Args:
        key: name of the group or setting, such as env or optim.lr.
        value: value that it must have; 1 and 1.0 are the same, and so are 1e-3 and 0.001.
        is_group: whether the key names a group.
    """

    key: str
    value: Any
    is_group: bool

    def __str__(self) -> str:
        return f"{self.key}={written(self.value)}"

    def concerns(self, config: dict[str, Any]) -> bool:
        """Whether a run's configuration has the key at all."""
        return self._value_in(config) is not _ABSENT

    def holds(self, config: dict[str, Any]) -> bool:
        """Whether the condition is true of the content of a run's config.json."""
        return same_value(self._value_in(config), self.value)

    @property
    def path(self) -> list[str]:
        """The keys that lead to the value in config.json, from the outermost."""
        return ["choices", self.key] if self.is_group else self.key.split(".")

    def _value_in(self, config: Any) -> Any:
        for part in self.path:
            if not isinstance(config, dict) or part not in config:
                return _ABSENT
            config = config[part]
        return config


def read_filters(overrides: Iterable[str], groups: Collection[str]) -> list[Filter]:
    """The conditions in a command line's overrides. What is no part of a result, such as paths.runs, is no condition.

    Args:
        overrides: words such as env=grid_trap or optim.lr=1e-3.
        groups: names of the configuration groups.

    Raises:
        ConfigurationError: an override deletes a key, or gives it several values.
    """
    return read_conditions((text for text in overrides if not is_execution(text)), groups)


def read_conditions(overrides: Iterable[str], groups: Collection[str]) -> list[Filter]:
    """All overrides of a command line as conditions; arguments and errors are those of `read_filters`."""
    found = []
    for text in overrides:
        override = _parsed(text)
        key = _key(override)
        if override.is_delete():
            raise ConfigurationError(f"~{key}", "", "is no filter; one is key=value or group=option")
        value = override.value()
        if override.is_sweep_override() or (isinstance(value, str) and "," in value):
            allowed = "a filter has one value; give one, or leave the filter out for all"
            raise ConfigurationError(key, text.partition("=")[2], allowed)
        found += _conditions(key, value, groups)
    return found


def matching(runs: Sequence[Run], filters: Sequence[Filter]) -> list[Run]:
    """The runs of which all filters are true.

    Raises:
        ConfigurationError: no run has the key of a filter.
    """
    for condition in filters:
        if runs and not any(condition.concerns(run.config) for run in runs):
            key, _, value = str(condition).partition("=")
            raise ConfigurationError(key, value, f"none of these {len(runs)} runs has this key; it filters nothing")
    return [run for run in runs if all(condition.holds(run.config) for condition in filters)]


def matching_planned_runs(
    planned: Iterable[PlannedRun], filters: Sequence[Filter], groups: Collection[str]
) -> list[PlannedRun]:
    """The planned runs whose directories or overrides say all that the filters ask for.

    A default that the overrides keep is not known before a run has begun, and no filter is true of it.
    """
    if not filters:
        return list(planned)
    return [run for run in planned if all(condition.holds(planned_configuration(run, groups)) for condition in filters)]


def planned_configuration(planned: PlannedRun, groups: Collection[str]) -> dict[str, Any]:
    """The part of a planned run's configuration that its directory and overrides say, in the form of config.json."""
    names = planned.directory.split("/")
    known: dict[str, Any] = {"choices": dict(zip(("env", "modality"), names, strict=False)) if len(names) == 3 else {}}
    for override in (_parsed(text) for text in planned.overrides if not is_execution(text)):
        if override.is_delete():
            continue
        for condition in _conditions(_key(override), override.value(), groups):
            node = known
            for part in condition.path[:-1]:
                if not isinstance(node.get(part), dict):
                    node[part] = {}
                node = node[part]
            node[condition.path[-1]] = condition.value
    return known


@cache
def _parsed(override: str) -> Override:
    return OverridesParser.create().parse_overrides([override])[0]


def _key(override: Override) -> str:
    return override.key_or_group if override.package is None else f"{override.key_or_group}@{override.package}"


def _conditions(key: str, value: Any, groups: Collection[str]) -> list[Filter]:
    if key in groups:
        return [Filter(key, value, is_group=True)]
    if isinstance(value, dict) and value:
        return [found for name, inner in value.items() for found in _conditions(f"{key}.{name}", inner, groups)]
    return [Filter(key, value, is_group=False)]


def same_value(one: Any, other: Any) -> bool:
    """Whether two values are the same setting: 1 and 1.0 are, 1 and true are not."""
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(same_value(a, b) for a, b in zip(one, other, strict=True))
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    return one == other
