"""Nested mappings as flat ones, with keys as a command line has them."""

from collections.abc import Mapping
from typing import Any


def leaves(value: Any, prefix: str = "") -> dict[str, Any]:
    """The values that are no mappings, by their keys joined with dots; an empty mapping is a value."""
    if not isinstance(value, Mapping) or not value:
        return {prefix: value} if prefix else {}
    nested = (leaves(child, f"{prefix}.{key}".lstrip(".")) for key, child in value.items())
    return {path: leaf for found in nested for path, leaf in found.items()}
