"""What is printed where a terminal does not know all characters."""

import io
import sys

import pytest
from rich.console import Console
from rich.table import Table

from mavrl.terminal import show_on_any_terminal


@pytest.mark.parametrize(
    ("encoding", "expected"),
    [("ascii", "1 +- 2 <= 3? ..."), ("latin-1", "1 ± 2 <= 3? ..."), ("utf-8", "1 ± 2 ≤ 3中 …")],
)
def test_unknown_characters_are_plain_ones(encoding: str, expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    streams = {name: io.TextIOWrapper(io.BytesIO(), encoding=encoding) for name in ("stdout", "stderr")}
    for name, stream in streams.items():
        monkeypatch.setattr(sys, name, stream)
    show_on_any_terminal()
    for stream in streams.values():
        print("1 ± 2 ≤ 3中 …", file=stream, end="", flush=True)
        assert stream.buffer.getvalue().decode(encoding) == expected


def test_tables_and_bars_on_an_ascii_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", stream)
    show_on_any_terminal()
    table = Table(title="95 ± 1")
    table.add_column("metric")
    table.add_row("━━──")
    Console(width=40).print(table)
    stream.flush()
    shown = stream.buffer.getvalue().decode("ascii")
    assert "95 +- 1" in shown
    assert "==--" in shown


def test_streams_that_are_none_of_python_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    show_on_any_terminal()
