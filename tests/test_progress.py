"""What is shown of a stage: a bar where that is wanted, lines where there is no terminal, or nothing."""

import re
import time
from typing import Any

import pytest

from mavrl import progress as module
from mavrl.progress import Count, expect, form_of, stage, tick, ticking
from mavrl.workers import workers


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_SILENCE", 0.05)
    monkeypatch.setattr(module, "_INTERVAL", 0.02)
    monkeypatch.setattr(module, "_FIRST_LINE", 0.05)
    monkeypatch.setattr(module, "_PAUSE", 0.05)


def _last(text: str) -> str:
    return text.replace("\n", "\r").strip("\r").split("\r")[-1]


@pytest.mark.parametrize(("wanted", "terminal", "form"), [
    (True, False, "bars"), (True, True, "bars"), ("auto", True, "bars"), ("auto", False, "lines"),
    (False, True, "nothing"), (False, False, "nothing"),
])  # fmt: skip
def test_forms(wanted: Any, terminal: bool, form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: terminal)
    assert form_of(wanted) == form


def test_time_is_said_where_nothing_is_counted(capsys: pytest.CaptureFixture[str]) -> None:
    with stage(True, "planning"):
        time.sleep(0.3)
    assert "planning, 00:00" in capsys.readouterr().err


def test_a_bar_counts_to_its_end_and_stays(capsys: pytest.CaptureFixture[str]) -> None:
    with stage(True, "learning", "epoch", total=5, done=3) as count:
        count.done, count.facts["loss"] = 5, 12.5
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.endswith("\n")
    assert re.search(r"learning: 100%.* 5/5 .*loss=12.5", _last(output.err))


def test_lines_say_how_much_and_how_long(capsys: pytest.CaptureFixture[str]) -> None:
    with stage("auto", "learning", "epoch", total=400, done=100) as count:
        count.done, count.facts["loss"] = 200, 12.5
        time.sleep(0.3)
        count.done = 400
    first, *_, last = capsys.readouterr().err.splitlines()
    assert re.fullmatch(r"learning: 200 of 400 epochs, [\d.e+]+/s, 00:0\d left, loss=12.5", first)
    assert re.fullmatch(r"learning: 400 of 400 epochs, 00:0\d in all, loss=12.5", last)


def test_lines_without_a_count_say_the_time(capsys: pytest.CaptureFixture[str]) -> None:
    with stage("auto", "planning"):
        time.sleep(0.2)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "planning: 00:00 so far"
    assert lines[-1] == "planning: 00:00 in all"


def test_lines_become_rare(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    now = [0.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(module, "_PAUSE", 5.0)
    lines = module._Lines("learning", "", Count())
    pauses = []
    for now[0] in (2.0, 20.0, 60.0, 7200.0):
        pauses.append(lines.show())
    assert pauses == [5.0, 5.0, 15.0, 60.0]
    assert capsys.readouterr().err.splitlines()[-1] == "learning: 2:00:00 so far"


def test_the_variable_of_tqdm_silences_lines_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TQDM_DISABLE", "1")
    assert {form_of(wanted) for wanted in (True, "auto", False)} == {"nothing"}


@pytest.mark.parametrize("wanted", [True, "auto", False])
def test_nothing_is_said_of_what_is_quick(wanted: Any, capsys: pytest.CaptureFixture[str]) -> None:
    with stage(wanted, "planning"):
        pass
    assert capsys.readouterr() == ("", "")


def test_silence_where_it_is_wanted(capsys: pytest.CaptureFixture[str]) -> None:
    with stage(False, "learning", "epoch", total=5) as count:
        count.done = 5
        time.sleep(0.2)
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("wanted", [True, "auto", False])
def test_it_ends_with_an_error(wanted: Any) -> None:
    with pytest.raises(ValueError, match="x"), stage(wanted, "planning", "step", 3):
        raise ValueError("x")


def test_what_is_looked_for_is_up_to_date_at_the_end(capsys: pytest.CaptureFixture[str]) -> None:
    def look(count: Count) -> None:
        count.done = 3

    with stage(True, "acting", "part", total=4, look=look):
        pass
    assert "3/4" in _last(capsys.readouterr().err)


def test_ticks_are_counted_from_where_a_stage_begins(capsys: pytest.CaptureFixture[str]) -> None:
    tick(7)
    with ticking("auto", "simulating", "episode"):
        expect(6)
        expect(2)  # a part of them
        tick(2)
        time.sleep(0.3)
        expect(4)  # the rest
        tick(4)
    lines = capsys.readouterr().err.splitlines()
    assert any(line.startswith("simulating: 2 of 6 episodes, ") for line in lines)
    assert "simulating: 6 of 6 episodes, 00:0" in lines[-1]


def test_ticks_of_other_processes_are_counted(capsys: pytest.CaptureFixture[str]) -> None:
    with workers(2) as pool, ticking("auto", "simulating", "episode"):
        pool.map(tick, [(3,), (4,)])
        time.sleep(0.2)
    assert "simulating: 7 of 7 episodes" in capsys.readouterr().err.splitlines()[-1]
