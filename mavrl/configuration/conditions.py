"""Conditions on configurations, of which the rules of `skip` and `only` are made. Nothing here imports torch."""

import operator
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from omegaconf import OmegaConf

from mavrl.configuration.known import ABSENT, value_of
from mavrl.errors import ConfigurationError

_INEQUALITY = re.compile(r"\s*(<=|>=|<|>|!=)\s*(\S+)\s*")
_ORDERS: dict[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge
}  # fmt: skip


def conditions_hold(config: Mapping[Any, Any], conditions: Mapping[Any, Any]) -> bool:
    """Whether all conditions hold. A key that the configuration does not have satisfies none."""
    return all(satisfies(value_of(config, str(key)), wanted) for key, wanted in conditions.items())


def satisfies(value: Any, wanted: Any) -> bool:
    """Whether a value is what a condition wants: equal to it, to one of a list, or in order to a bound such as ">=2".

    Args:
        value: of a key; None and ABSENT are no values, and satisfy nothing.
        wanted: a value, a list of values, or a text of <, <=, >, >= or != and a value.
    """
    if value is None or value is ABSENT:
        return False
    options = wanted if isinstance(wanted, (list, tuple)) or OmegaConf.is_list(wanted) else [wanted]
    return any(_satisfies_one(value, option) for option in options)


def _satisfies_one(value: Any, wanted: Any) -> bool:
    inequality = _INEQUALITY.fullmatch(wanted) if isinstance(wanted, str) else None
    if inequality is None:
        return bool(value == wanted)
    sign, bound = inequality.groups()
    limit = _number(bound)
    if sign == "!=":
        return str(value) != bound if limit is None else value != limit
    if limit is None or isinstance(value, (bool, str)) or not isinstance(value, (int, float)):
        return False
    return _ORDERS[sign](value, limit)


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def rules_of_keys(config: Mapping[Any, Any]) -> dict[str, dict[str, Any]]:
    """The rules of `only`: conditions under which a key may vary, by key.

    Raises:
        ConfigurationError: a rule is not a mapping of keys to values.
    """
    rules: dict[str, dict[str, Any]] = {}
    for key, conditions in (config.get("only") or {}).items():
        if conditions is None:
            continue
        if not isinstance(conditions, Mapping):
            raise ConfigurationError(f"only.{key}", conditions, "must map keys to values, such as {model.q: learned}")
        rules[str(key)] = {str(name): wanted for name, wanted in conditions.items()}
    return rules


def idle_words(config: Mapping[Any, Any], words: Iterable[str], varied: Iterable[str]) -> list[str]:
    """The words of a command line that give values to keys which may not vary in this configuration.

    Args:
        config: the configuration that the words make.
        words: such as model.backup=soft.
        varied: keys that several values are given to; others may have what they were given.
    """
    idle = {key for key, rule in rules_of_keys(config).items() if not conditions_hold(config, rule)} & set(varied)
    return [word for word in words if key_of(word) in idle]


def key_of(word: str) -> str:
    """The key of a word of the command line."""
    return word.partition("=")[0].lstrip("+~")
