"""Nested mappings as flat ones."""

from mavrl.configuration.plain import flatten


def test_keys_are_joined_with_dots() -> None:
    nested = {"a": 1, "b": {"c": [1, 2], "d": {"e": None}}, "f": {}}
    assert flatten(nested) == {"a": 1, "b.c": [1, 2], "b.d.e": None, "f": {}}


def test_nothing_has_no_leaves() -> None:
    assert flatten({}) == {}
