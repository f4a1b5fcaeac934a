"""What task=status prints: numbers, cells, errors in one line each, within 80 columns."""

from collections.abc import Callable
from pathlib import Path

import pytest

from mavrl.reports.overview import duration, print_overview
from mavrl.storage.index import find_runs
from mavrl.storage.run_directory import RunDirectory
from mavrl.storage.sweeps import PlannedRun, Sweep

HOUR = {"started": "2026-01-01T00:00:00+00:00", "ended": "2026-01-01T01:00:00+00:00"}


@pytest.fixture
def printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., list[str]]:
    """The lines of the overview of tmp_path / "runs"."""

    def lines(*pending: tuple[str, str], sweeps: tuple[Sweep, ...] = ()) -> list[str]:
        root = tmp_path / "runs"
        print_overview(root, find_runs(root), pending, sweeps, "runs")
        return capsys.readouterr().out.splitlines()

    return lines


def test_counts_progress_and_time_left(make_run: Callable[..., Path], printed: Callable[..., list[str]]) -> None:
    make_run(**HOUR)
    make_run("grid_trap/pd/bbb", "running")
    lines = printed(("grid_trap", "pd"), ("grid_trap", "pd"))
    assert lines[0].startswith("runs ")
    assert lines[0].endswith(" 1 of 4 completed (25 %)")
    assert lines[0].count("━") == 10
    assert lines[0].count("─") == 30
    assert lines[1] == "pending 2   running 0   interrupted 1   completed 1   failed 0"
    assert lines[2] == "1.0 runs an hour; about 2 h 0 min left for 2 pending or running"
    assert lines[4:] == ["interrupted (the same commands go on with them):", "  grid_trap/pd/bbb"]


def test_a_run_at_work_is_still_to_be_waited_for(
    make_run: Callable[..., Path], printed: Callable[..., list[str]]
) -> None:
    make_run(**HOUR)
    lock = RunDirectory(make_run("grid_trap/pd/bbb", "running")).lock()
    with lock:
        lines = printed(("grid_trap", "pd"))
    assert lines[1] == "pending 1   running 1   interrupted 0   completed 1   failed 0"
    assert lines[2] == "1.0 runs an hour; about 2 h 0 min left for 2 pending or running"
    assert len(lines) == 3


def test_nothing_has_ended_yet(printed: Callable[..., list[str]]) -> None:
    assert printed(("grid_trap", "pd"))[2] == "no run has ended yet; 1 to go"


def test_cells_when_there_are_several(make_run: Callable[..., Path], printed: Callable[..., list[str]]) -> None:
    make_run("grid_trap/pd/aaa", **HOUR)
    make_run("grid_trap/pd/bbb", "failed", error="E")
    make_run("grid_cliff/p/ccc", **HOUR)
    lines = printed(("grid_trap", "pd"), ("grid_dense", "s"))
    table = lines[lines.index("completed of all (! where some failed):") + 1 :]
    assert table[0].split() == ["p", "s", "pd"]
    assert [line.split() for line in table[1:4]] == [
        ["grid_cliff", "1/1"],
        ["grid_dense", "0/1"],
        ["grid_trap", "1/3!"],
    ]
    assert table[3].index("1/3!") >= table[0].index("pd") - 2


def test_errors_are_one_line_each_within_80_columns(
    make_run: Callable[..., Path], printed: Callable[..., list[str]]
) -> None:
    make_run("grid_trap/pd/aaa", "failed", error="ValueError: [bold]first\nsecond " + "long " * 50)
    make_run("grid_trap/pd/bbb", "failed", error="short")
    sweep = Sweep("1a2b", "python run.py " + "x" * 100, "2026", (PlannedRun("a", []),))
    lines = printed(sweeps=(sweep,))
    at = lines.index("failed:")
    assert lines[at + 1].startswith("  grid_trap/pd/aaa  ValueError: [bold]first second long")
    assert lines[at + 1].endswith("…")
    assert lines[at + 2] == "  grid_trap/pd/bbb  short"
    assert lines[-1].startswith("  1a2b  1 run  python run.py xxx")
    assert max(map(len, lines)) <= 80
    assert "\x1b" not in "".join(lines)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "less than a minute"), (40, "about 1 min"), (59 * 60, "about 59 min"), (3600, "about 1 h 0 min"),
        (100 * 60, "about 1 h 40 min"), (26 * 3600, "about 1 d 2 h"),
    ],
)  # fmt: skip
def test_durations(seconds: float, words: str) -> None:
    assert duration(seconds) == words
