"""Rows of runs, their order, and the page of one run."""

from collections.abc import Callable
from pathlib import Path

import pytest

from mavrl.configuration.rules import SORTS
from mavrl.metrics import METRICS
from mavrl.reports.listing import print_run, print_runs, size, sort_runs
from mavrl.storage.index import find_runs, read_run


@pytest.fixture
def root(make_run: Callable[..., Path], tmp_path: Path) -> Path:
    """Four runs whose names are in no order of interest."""
    make_run("grid_trap/pd/good", values={"normalized_return": [90.0, 96.0], "epic_distance": [0.5, 0.3]}, ended=_at(3))
    make_run("grid_trap/s/bad", values={"normalized_return": [10.0], "epic_distance": [0.1]}, ended=_at(1))
    make_run("grid_cliff/pd/ugly", "failed", ended=_at(2), config={"seed": 7})
    make_run("grid_cliff/d/new", "interrupted", started=_at(4), config={"seed": 3})
    return tmp_path / "runs"


def _at(hour: int) -> str:
    return f"2026-01-01T0{hour}:00:00+00:00"


@pytest.mark.parametrize(
    ("by", "order"),
    [
        ("env", ["new", "ugly", "bad", "good"]),
        ("modality", ["new", "bad", "ugly", "good"]),
        ("seed", ["bad", "good", "new", "ugly"]),
        ("state", ["bad", "good", "ugly", "new"]),
        ("when", ["bad", "ugly", "good", "new"]),
        ("normalized_return", ["good", "bad", "new", "ugly"]),
        ("epic_distance", ["bad", "good", "new", "ugly"]),
    ],
)
def test_orders(by: str, order: list[str], root: Path) -> None:
    assert [run.path.name for run in sort_runs(find_runs(root), by)] == order


def test_every_order_has_a_test() -> None:
    tested = {parameters[0] for parameters in test_orders.pytestmark[0].args[1]}  # type: ignore[attr-defined]
    assert tested == {*SORTS, *(name for name, metric in METRICS.items() if metric.listed)}


def test_a_row_has_everything_on_one_line(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    print_runs(sort_runs(find_runs(root), "normalized_return"), root)
    header, good, bad, new, _ = capsys.readouterr().out.splitlines()
    assert header.split()[:5] == ["env", "modality", "seed", "replicates", "state"]
    assert header.split()[5:] == ["normalized", "return", "EPIC", "distance", "when", "directory"]
    assert good.startswith("grid_trap   pd           0           2  completed           93.0 ± 0.5  0.400 ± 0.500  2")
    assert good.rstrip().endswith("grid_trap/pd/good")
    assert " 10.0 " in bad
    assert "±" not in bad
    assert new.split()[:5] == ["grid_cliff", "d", "3", "2", "interrupted"]
    assert new.rstrip().endswith("grid_cliff/d/new")


def test_runs_of_one_cell_are_told_apart_by_what_varies(
    make_run: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, seed, rate in (("one", 0, 0.01), ("two", 2, 0.01), ("three", 0, 0.03)):
        make_run(f"grid_trap/pd/{name}", config={"seed": seed, "optim": {"lr": rate}, "model": {"q": "planned"}})
    print_runs(find_runs(tmp_path / "runs"), tmp_path / "runs")
    head, *rows = capsys.readouterr().out.splitlines()
    assert head.split()[-2:] == ["varied", "directory"]
    assert [line.split()[-2] for line in rows] == ["optim.lr=0.01", "optim.lr=0.03", "optim.lr=0.01"]


def test_runs_of_which_nothing_is_known_have_a_row(
    make_run: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = make_run()
    for name in ("config.json", "status.json"):
        (path / name).write_text("{")
    print_runs(find_runs(tmp_path / "runs"), tmp_path / "runs")
    assert capsys.readouterr().out.splitlines()[1].split() == ["?", "?", "?", "?", "failed", "grid_trap/pd/aaa"]


def test_all_about_one_run(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = read_run(root / "grid_trap/pd/good")
    assert run is not None
    print_run(run)
    lines = capsys.readouterr().out.splitlines()
    facts = dict(line.split(maxsplit=1) for line in lines[: lines.index("")])
    assert facts["state"] == "completed"
    assert facts["seeds"] == "0 to 1"
    assert facts["groups"] == "env=grid_trap, modality=pd"
    assert facts["overrides"] == "none"
    assert "error" not in facts
    table = [line.split() for line in lines]
    assert ["normalized_return", "93.000", "0.500", "90", "96"] in table
    assert ["epic_distance", "0.400", "0.500", "0.5", "0.3"] in table
    assert any(line.endswith("  metrics.json") for line in lines)
    assert lines[-1] == str(run.path)


def test_a_failed_run_shows_its_whole_error(make_run: Callable[..., Path], capsys: pytest.CaptureFixture[str]) -> None:
    error = "ValueError: " + "[very] long " * 20 + "end"
    run = read_run(make_run(state="failed", error=error))
    assert run is not None
    print_run(run)
    assert error in capsys.readouterr().out


@pytest.mark.parametrize(
    ("n_bytes", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (123_456, "123 kB"),
        (5_600_000, "5.6 MB"),
        (2 * 10**15, "2000 TB"),
        (10**6, "1.0 MB"),
    ],
)
def test_sizes(n_bytes: int, text: str) -> None:
    assert size(n_bytes) == text
