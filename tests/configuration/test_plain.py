"""Nested mappings as flat ones, values and commands as text."""

import sys
from typing import Any

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from mavrl.configuration.plain import flatten, quoted, typed_command, written


def test_keys_are_joined_with_dots() -> None:
    nested = {"a": 1, "b": {"c": [1, 2], "d": {"e": None}}, "f": {}}
    assert flatten(nested) == {"a": 1, "b.c": [1, 2], "b.d.e": None, "f": {}}


def test_nothing_flattened_is_nothing() -> None:
    assert flatten({}) == {}


VALUES = [None, True, 3, 0.001, 1e-12, "word", [1, [2, "a"]], {"a": {"b": None}, "c": [True]}, [], {}]


@pytest.mark.parametrize("value", VALUES, ids=str)
@pytest.mark.parametrize("text", [written, quoted])
def test_hydra_reads_a_written_value_as_the_same_value(value: Any, text: Any) -> None:
    assert OverridesParser.create().parse_override(f"key={text(value)}").value() == value


@pytest.mark.parametrize("value", ["true", "3", "null", "a b, c", 'say "so"', "{a: 1}"])
def test_quoted_text_stays_text(value: str) -> None:
    assert OverridesParser.create().parse_override(f"key={quoted(value)}").value() == value


@pytest.mark.parametrize(
    ("words", "command"),
    [
        (["/some/where/run.py", "-m", "env=grid_trap,grid_cliff"], "python run.py -m env=grid_trap,grid_cliff"),
        (["/venv/bin/mavrl", "-m", "+skip.mine={seed: 1}"], "mavrl -m '+skip.mine={seed: 1}'"),
        (["/venv/mavrl/__main__.py", "seed=1"], "python -m mavrl seed=1"),
        (["run.py"], "python run.py"),
    ],
)
def test_the_command_as_it_was_typed(words: list[str], command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", words)
    assert typed_command() == command
