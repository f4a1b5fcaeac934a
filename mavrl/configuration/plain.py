"""Parts of a configuration as plain values, and plain values and commands as text."""

import json
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf


def plain(node: DictConfig) -> dict[str, Any]:
    """A part of the configuration as a dict, with everything resolved."""
    values = OmegaConf.to_container(node, resolve=True)
    assert isinstance(values, dict)
    return {str(key): value for key, value in values.items()}


def flatten(value: Any, prefix: str = "") -> dict[str, Any]:
    """Values of nested mappings by their dotted keys, such as optim.lr; an empty mapping is a value."""
    if not isinstance(value, Mapping) or not value:
        return {prefix: value} if prefix else {}
    nested = (flatten(child, f"{prefix}.{key}".lstrip(".")) for key, child in value.items())
    return {path: leaf for found in nested for path, leaf in found.items()}


def written(value: Any) -> str:
    """A value as a command line has it, which Hydra reads as the same value."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{key}:{written(child)}" for key, child in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ",".join(map(written, value)) + "]"
    return str(value)


def shown(value: Any) -> str:
    """A value as messages have it: as on a command line, with text in quotes where it looks like something else."""
    if isinstance(value, str) and not _reads_as_text(value):
        return f"'{value}'"
    return written(value)


def _reads_as_text(value: str) -> bool:
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    try:
        return OverridesParser.create().parse_override(f"key={value}").value() == value
    except HydraException:
        return False


def quoted(value: Any) -> str:
    """A value as a command line has it, with text in quotes, so that it is text whatever it looks like."""
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{key}:{quoted(child)}" for key, child in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ",".join(map(quoted, value)) + "]"
    return json.dumps(value) if isinstance(value, str) else written(value)


def typed_command() -> str:
    """The command line as it was typed: `python run.py ...`, or `mavrl ...` for the installed command."""
    program = Path(sys.argv[0]).name
    if program == "__main__.py":
        return shlex.join(["python", "-m", "mavrl", *sys.argv[1:]])
    return shlex.join([*(["python"] if program.endswith(".py") else []), program, *sys.argv[1:]])
