"""JSON of any wrong type in any file of one run, and the other run is listed all the same."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import polars  # noqa: F401 -- it changes the environment when it is imported
import pytest

from mavrl.reports.export import export_runs
from mavrl.reports.listing import print_run, print_runs, sort_runs
from mavrl.reports.overview import print_overview
from mavrl.reports.pooling import pool_runs
from mavrl.storage.deletion import delete_run
from mavrl.storage.index import find_runs
from mavrl.storage.sweeps import PlannedRun, record_sweep, recorded_sweeps

WRONG = [None, 3, "text", True, [], ["text"], {}, {"a": None}]
STATUS = {
    "config_hash": "abc", "started": "2026-01-01T00:00:00+00:00", "ended": "2026-01-01T00:01:00+00:00", "seconds": 60.0,
    "host": "here", "pid": 1,
}  # fmt: skip
FILES = ("status.json", "config.json", "metrics.json")


def _changed(content: Any) -> Iterator[tuple[str, Any]]:
    """The content with each of its values, down to the second level, replaced by one of another type."""
    for wrong in WRONG:
        yield f"all is {wrong!r}", wrong
        for key, value in content.items():
            yield f"{key} is {wrong!r}", {**content, key: wrong}
            for inner in value if isinstance(value, dict) else ():
                yield f"{key}.{inner} is {wrong!r}", {**content, key: {**value, inner: wrong}}


@pytest.mark.parametrize("name", FILES)
@pytest.mark.filterwarnings("ignore")
def test_an_odd_file_of_one_run_breaks_no_listing(
    name: str, make_run: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root, values = tmp_path / "runs", {"normalized_return": [90.0, 92.0], "regret": [1.0, 2.0]}
    make_run("grid_trap/pd/good", values=values, **STATUS)
    path = make_run("grid_trap/pd/odd", values=values, **STATUS) / name
    cases = list(_changed(json.loads(path.read_text())))
    assert len(cases) >= 60
    for what, content in cases:
        path.write_text(json.dumps(content))
        runs = find_runs(root)
        assert len(runs) == 2, what
        try:
            for by in ("env", "seed", "state", "when", "regret"):
                print_runs(sort_runs(runs, by), root)
            print_overview(root, runs, [], [], "runs")
            for run in runs:
                print_run(run)
            export_runs(runs, root, tmp_path / "runs.csv")
            pooled, several = pool_runs(runs)
        except Exception as error:
            pytest.fail(f"{name}: {what}: {error!r}")
        assert "grid_trap/pd/good" in capsys.readouterr().out, what
        assert pooled or several, what


@pytest.mark.parametrize("wrong", WRONG)
def test_an_odd_record_of_a_sweep_is_left_out(wrong: Any, tmp_path: Path) -> None:
    record_sweep(tmp_path, "good", [PlannedRun("a", ["seed=1"])])
    path = record_sweep(tmp_path, "odd", [PlannedRun("b", ["seed=2"])])
    content = json.loads(path.read_text())
    for odd in (wrong, *({**content, key: wrong} for key in ("command", "recorded", "runs"))):
        if odd not in ({**content, "command": "text"}, {**content, "recorded": "text"}, {**content, "runs": []}):
            path.write_text(json.dumps(odd))
            assert [sweep.command for sweep in recorded_sweeps(tmp_path)] == ["good"], odd


@pytest.mark.parametrize("wrong", WRONG)
def test_a_run_with_an_odd_status_can_be_deleted(wrong: Any, make_run: Callable[..., Path], tmp_path: Path) -> None:
    path = make_run()
    (path / "status.json").write_text(json.dumps(wrong))
    (run,) = find_runs(tmp_path / "runs")
    assert delete_run(run)
    assert not path.exists()
