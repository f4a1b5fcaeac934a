"""A sign of life after a second of silence, and none where none is wanted or needed."""

import time

import pytest

from mavrl import waiting as module
from mavrl.waiting import waiting


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_SILENCE", 0.05)
    monkeypatch.setattr(module, "_INTERVAL", 0.02)


def test_what_takes_long_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    with waiting(True, "planning"):
        time.sleep(0.3)
    assert "planning, 00:00" in capsys.readouterr().err


@pytest.mark.parametrize("progress", [False, "auto"])  # the error stream of a test is no terminal
def test_quiet_where_it_is_not_wanted(progress: bool | str, capsys: pytest.CaptureFixture[str]) -> None:
    with waiting(progress, "planning"):
        time.sleep(0.2)
    assert capsys.readouterr() == ("", "")


def test_nothing_is_said_of_what_is_quick(capsys: pytest.CaptureFixture[str]) -> None:
    with waiting(True, "planning"):
        pass
    assert capsys.readouterr() == ("", "")


def test_it_ends_with_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ValueError, match="x"), waiting(True, "planning"):
        raise ValueError("x")
