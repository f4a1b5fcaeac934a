"""The command that a multirun records."""

import sys

import pytest

from mavrl.sweep.runs import typed_command


@pytest.mark.parametrize(
    ("words", "command"),
    [
        (["/some/where/run.py", "-m", "env=grid_trap,grid_cliff"], "python run.py -m env=grid_trap,grid_cliff"),
        (["/venv/bin/mavrl", "-m", "+skip.mine={seed: 1}"], "mavrl -m '+skip.mine={seed: 1}'"),
        (["run.py"], "python run.py"),
    ],
)
def test_the_command_is_recorded_as_it_was_typed(words: list[str], command: str, monkeypatch) -> None:
    monkeypatch.setattr(sys, "argv", words)
    assert typed_command() == command
