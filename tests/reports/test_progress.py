"""Throughput and cells, against counts made by hand."""

import datetime
from collections import Counter
from pathlib import Path

import pytest

from mavrl.reports.progress import count_states, modality_order, read_time, runs_per_hour
from mavrl.storage.index import Run

BEGIN = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)


def _run(started: float, ended: float, state: str = "completed") -> Run:
    """A run that took this time, in minutes."""
    times = {"started": started, "ended": ended}
    status = {key: (BEGIN + datetime.timedelta(minutes=value)).isoformat() for key, value in times.items()}
    return Run(Path("runs/a"), state, status)


def test_one_after_the_other() -> None:
    assert runs_per_hour([_run(6 * k, 6 * (k + 1)) for k in range(4)]) == pytest.approx(10)


def test_two_at_a_time() -> None:
    assert runs_per_hour([_run(6 * (k // 2), 6 * (k // 2 + 1)) for k in range(4)]) == pytest.approx(20)


def test_overlapping_runs_of_different_lengths() -> None:
    """60 minutes in which something runs, whatever the order of the runs."""
    spans = [(0, 60), (10, 20), (15, 40)]
    for order in (spans, spans[::-1]):
        assert runs_per_hour([_run(*span) for span in order]) == pytest.approx(3)


def test_short_pauses_count_and_long_ones_do_not() -> None:
    assert runs_per_hour([_run(0, 5.5), _run(6, 12)]) == pytest.approx(10)
    assert runs_per_hour([_run(0, 6), _run(600, 606)]) == pytest.approx(10)


def test_failed_runs_count_and_unfinished_ones_do_not() -> None:
    runs = [_run(0, 6), _run(0, 6, "failed"), _run(12, 90, "interrupted"), _run(12, 90, "running")]
    assert runs_per_hour(runs) == pytest.approx(20)


def test_only_recent_runs_count() -> None:
    slow, fast = [_run(60 * k, 60 * (k + 1)) for k in range(5)], [_run(300 + k, 301 + k) for k in range(20)]
    assert runs_per_hour([*fast, *slow]) == pytest.approx(60)


def test_no_run_has_ended() -> None:
    assert runs_per_hour([]) is None
    assert runs_per_hour([_run(0, 1, "running"), Run(Path("a"), "completed", {"ended": "yesterday"})]) is None


def test_runs_in_the_same_second_have_a_finite_throughput() -> None:
    assert runs_per_hour([_run(0, 0)]) == pytest.approx(3600)


def test_cells_are_counted_and_in_the_order_of_the_modalities() -> None:
    states = [("b", "pd", "failed"), ("a", "s", "pending"), ("a", "p", "completed"), ("a", "p", "failed")]
    counted = count_states(states)
    assert list(counted) == [("a", "p"), ("a", "s"), ("b", "pd")]
    assert counted["a", "p"] == Counter(completed=1, failed=1)
    assert sorted(["pdrs", "s", "ds", "pd", "p", "d"], key=modality_order) == ["p", "d", "s", "pd", "ds", "pdrs"]


@pytest.mark.parametrize("text", [None, "", "yesterday", 3, "2026-01-01T00:00:00"])
def test_what_is_no_time(text: object) -> None:
    assert read_time(text) is None
