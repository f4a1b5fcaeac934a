"""Keys that nothing reads: those without a rule, unless the YAML of what comes from another package has them."""

import difflib
from collections.abc import Collection, Iterator, Mapping
from functools import lru_cache
from typing import Any

from hydra.core.config_loader import ConfigLoader
from hydra.core.global_hydra import GlobalHydra
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from mavrl.configuration.identity import is_execution
from mavrl.configuration.plain import shown
from mavrl.configuration.registry import FAMILIES, KINDS, OWN_FAMILIES, OWN_KINDS, OWN_TASKS
from mavrl.configuration.rule import Rule
from mavrl.errors import ConfigurationError

ABSENT = object()  # the value of a key that is not there


def value_of(values: Mapping[str, Any], key: str) -> Any:
    """The value of a dotted key in nested mappings; `ABSENT` where there is none."""
    node: Any = values
    for part in key.split("."):
        if not isinstance(node, Mapping) or part not in node:
            return ABSENT
        node = node[part]
    return node


def put(values: dict[str, Any], key: str, value: Any) -> None:
    """Set the value of a dotted key in nested mappings."""
    *parents, name = key.split(".")
    node = values
    for part in parents:
        node = node[part]
    node[name] = value


def refuse_unknown(
    values: Mapping[str, Any], rules: Mapping[str, Rule], choices: Mapping[str, Any], execution: bool = False
) -> None:
    """Refuse a key that nothing reads.

    Args:
        values: the configuration, without hydra.
        rules: those that hold for it; below a key with a rule anything may stand that the rule allows.
        choices: option of each group, which say where the YAML of another package's part is; empty when not known.
        execution: whether only the keys of how something is run count.

    Raises:
        ConfigurationError: for the first such key, with the nearest one that is read.
    """
    others = None
    for key, value in _leaves(values, rules):
        if (execution and not is_execution(key)) or key == "hydra":
            continue
        if others is None:
            others = _parts_of_others(values, choices)
        part = next((part for part in others if key.startswith(f"{part}.")), None)
        if part is not None and (others[part] is None or _is_listed(key, tuple(filter(None, others.values())))):
            continue
        raise ConfigurationError(key, shown(value), f"no such key{nearest(key, rules)}")


def nearest(name: str, options: Collection[str]) -> str:
    """The name among these that is most like one that there is not, in words; nothing where none is."""
    close = difflib.get_close_matches(name, list(options), n=1, cutoff=0.5)
    return f" (did you mean {close[0]}?)" if close else ""


def _leaves(values: Mapping[str, Any], rules: Mapping[str, Rule], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Keys with their values that neither have a rule nor lie below one."""
    for name, value in values.items():
        key = f"{prefix}{name}"
        if key in rules or (value == {} and any(rule.startswith(f"{key}.") for rule in rules)):
            continue
        if isinstance(value, Mapping) and value:
            yield from _leaves(value, rules, f"{key}.")
        else:
            yield key, value


def _parts_of_others(values: Mapping[str, Any], choices: Mapping[str, Any]) -> dict[str, str | None]:
    """The parts that other packages have added, each with the word that chooses its YAML; None when not known."""
    parts = []
    if value_of(values, "env.family") in [name for name in FAMILIES if name not in OWN_FAMILIES]:
        parts += ["env", "policy"]
    made = {part: str(value_of(values, f"{part}._target_")) for part in ("query", "teacher")}
    parts += [part for part, target in made.items() if not target.startswith("mavrl.")]
    parts += ["task"] if value_of(values, "task.name") not in OWN_TASKS else []
    words: dict[str, str | None] = {p: f"{p}={choices[p]}" if choices.get(p) else None for p in parts}
    for kind in (kind for kind in KINDS if kind not in OWN_KINDS):
        group = f"feedback@feedback.{kind}"
        words[f"feedback.{kind}"] = f"+{group}={choices[group]}" if choices.get(group) else None
    return words


def _is_listed(key: str, words: tuple[str, ...]) -> bool:
    """Whether the YAML that some words choose has a key."""
    if not GlobalHydra.instance().is_initialized():
        return True
    parent, _, name = key.rpartition(".")
    node = OmegaConf.select(_composed(GlobalHydra.instance().config_loader(), words), parent)
    return OmegaConf.is_dict(node) and name in node


@lru_cache(maxsize=4)
def _composed(loader: ConfigLoader, words: tuple[str, ...]) -> DictConfig:
    return loader.load_configuration("config", list(words), RunMode.RUN)
