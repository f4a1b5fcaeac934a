"""What a run's files hold is read with the types that readers rely on, or not at all."""

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mavrl.storage.contents import fits, read_config, read_metrics, read_status

WHOLE = {
    "status.json": {"state": "completed", "config_hash": "abc", "pid": 3, "seconds": 1.5},
    "config.json": {"seed": 3, "choices": {"env": "grid_trap", "experiment": None}, "overrides": ["seed=3"]},
}
READERS = {"status.json": read_status, "config.json": read_config, "metrics.json": read_metrics}


@pytest.mark.parametrize(
    ("value", "form", "expected"),
    [
        (1, int, True), (1, float, True), (1.5, float, True), (1.5, int, False), ("1", int, False), (None, int, False),
        (True, int, False), (True, float, False), (True, object, True), (None, object, True), (True, bool, True),
        ([], [int], True), ([1, 2], [int], True), ([1, "2"], [int], False), ({}, [int], False), ("ab", [str], False),
        ({}, {str: int}, True), ({"a": 1}, {str: int}, True), ({"a": "1"}, {str: int}, False), ([], {str: int}, False),
        ({"a": 1}, {"a": int}, True), ({}, {"a": int}, False), ({}, {"a?": int}, True),
        ({"a": "1"}, {"a?": int}, False),
        ({"a": 1, "b": []}, {"a": int}, True), ({"a": {"b": [1.0]}}, {"a": {"b": [float]}}, True),
        (3, {"a": int}, False),
    ],
)  # fmt: skip
def test_forms(value: Any, form: Any, expected: bool) -> None:
    assert fits(value, form) == expected


@pytest.mark.parametrize("name", WHOLE)
def test_whole_files_are_read(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(json.dumps(WHOLE[name]))
    assert READERS[name](tmp_path) == WHOLE[name]


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize("content", ["", "{", "[]", "3", "null", '"text"', "true"])
def test_anything_else_counts_as_missing(
    name: str, content: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        assert READERS[name](tmp_path) == {}
        assert caplog.text == ""
        (tmp_path / name).write_text(content)
        assert READERS[name](tmp_path) == {}
    assert (f"{tmp_path / name} is damaged" in caplog.text) == (name != "status.json")  # whose readers say so


def test_a_directory_in_the_place_of_a_file(tmp_path: Path) -> None:
    for name, read in READERS.items():
        (tmp_path / name).mkdir()
        assert read(tmp_path) == {}


def test_metrics_of_another_form(make_run: Callable[..., Path]) -> None:
    path = make_run(values={"regret": [1.0, 2.0]})
    whole = read_metrics(path)
    assert whole["final"] == {"regret": [1.0, 2.0]}
    for change in ({"mean": None}, {"mean": {"regret": "1"}}, {"final": {"regret": 1.0}}, {"failed_replicates": 1}):
        (path / "metrics.json").write_text(json.dumps({**whole, **change}))
        assert read_metrics(path) == {}
