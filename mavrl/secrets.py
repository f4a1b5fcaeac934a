"""What is secret in settings, and how it is kept out of all that is written or printed.

A secret that a command line gives goes into a variable of the environment before anything reads the command. What is
recorded of the command, or handed to other processes, names the variable, which those processes inherit.
"""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

MASK = "***"
_PREFIX = "MAVRL_SECRET_"
_ADDRESSES = ("notify.url",)  # whoever knows one may post to it
_NAMES = re.compile(
    r"(?i)(^|[_-])(password|passwd|passphrase|secret|token|credentials?|webhook|(api|access|private|secret)_?key)$"
)
_PASSWORD_IN_URL = re.compile(r"(\w://[^\s/?#:@]*:)[^\s/@]+@")
_LEAST_LENGTH = 4  # of a value that is looked for in texts


def is_secret(key: str, value: object) -> bool:
    """Whether a setting must not be shown: by its key, or because it is an address with a password in it."""
    if value is None or isinstance(value, (bool, Mapping, list)) or str(value) in ("", MASK):
        return False
    if str(value).startswith("${"):  # says where the value is, not what it is
        return False
    if key in _ADDRESSES or _NAMES.search(key.rpartition(".")[2]):
        return True
    return _PASSWORD_IN_URL.search(str(value)) is not None


def masked(value: Any, key: str = "") -> Any:
    """A copy of nested settings in which the variable of the environment stands that a secret would be read from.

    Args:
        value: the settings, of mappings, lists and plain values.
        key: that they have in the configuration.
    """
    if isinstance(value, Mapping):
        return {name: masked(child, f"{key}.{name}".lstrip(".")) for name, child in value.items()}
    if isinstance(value, (list, tuple)):
        return [masked(child, key) for child in value]
    return _reference(key) if is_secret(key, value) else value


def masked_text(text: str) -> str:
    """A text without the secrets that the environment has and without passwords in addresses."""
    values = [value for name, value in os.environ.items() if name.startswith(_PREFIX) or name == "MAVRL_NOTIFY_URL"]
    for value in sorted(values, key=len, reverse=True):
        text = text.replace(value, MASK) if len(value) >= _LEAST_LENGTH else text
    return _PASSWORD_IN_URL.sub(rf"\1{MASK}@", text)


def without_secrets(words: Sequence[str]) -> list[str]:
    """The words of a command line, with references to variables of the environment instead of secrets.

    The variables are set for this process and those that it starts.
    """
    return [_without_secrets(word) for word in words]


def _without_secrets(word: str) -> str:
    key, equals, text = word.partition("=")
    if key.startswith("-") or not equals:
        return word
    for path, value in _leaves(key.lstrip("+~"), _read(word, text)):
        if is_secret(path, value) and str(value) in text:
            os.environ[_variable(path)] = str(value)
            text = text.replace(str(value), _reference(path))
    return f"{key}={text}"


def _read(word: str, text: str) -> Any:
    """The value in a word; its text where it is no single value, or cannot be read."""
    if not text.startswith(("{", "[")):
        return None if text.lower() == "null" else text.strip("'\"")
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    try:
        return OverridesParser.create().parse_override(word).value()
    except HydraException:
        return text


def _leaves(key: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        for name, child in value.items():
            yield from _leaves(f"{key}.{name}", child)
    elif isinstance(value, list):
        for child in value:
            yield from _leaves(key, child)
    else:
        yield key, value


def _variable(key: str) -> str:
    return _PREFIX + re.sub(r"\W", "_", key).upper()


def _reference(key: str) -> str:
    return f"${{oc.env:{_variable(key)}}}"
