"""Exported tables: read back they hold what the runs hold, in all three formats."""

import json
from collections.abc import Callable
from pathlib import Path

import polars
import pytest

from mavrl.errors import StorageError
from mavrl.reports.export import export_runs, run_row
from mavrl.storage.index import find_runs

VALUES = {"normalized_return": [90.0, 96.0], "regret": [1.0, 2.0]}
CONFIG = {
    "optim": {"lr": 0.01, "batch_size": None},
    "model": {"hidden_sizes": [64, 32]},
    "policy": {"_target_": "a.b", "clip_range": "lin_0.2"},
    "flag": True,
    "overrides": ["seed=0", "optim.lr=1e-2"],
}


@pytest.fixture
def root(make_run: Callable[..., Path], tmp_path: Path) -> Path:
    choices = {"env": "grid_trap", "modality": "pd", "feedback@feedback.stop": "stop"}
    make_run(values=VALUES, config={**CONFIG, "choices": choices}, started="2026-01-01T00:00:00+00:00", seconds=2.5)
    make_run("grid_cliff/pd/bbb", "failed", error='E: "quoted", with a comma\nand a line', config={"optim": {"lr": 1}})
    return tmp_path / "runs"


def _export(root: Path, suffix: str) -> Path:
    path = root.parent / f"table{suffix}"
    export_runs(find_runs(root), root, path)
    assert [p.name for p in root.parent.iterdir() if p.name != "runs"] == [path.name]
    return path


def test_parquet(root: Path) -> None:
    table = polars.read_parquet(_export(root, ".parquet"))
    failed, completed = table.to_dicts()
    assert completed["directory"] == "grid_trap/pd/aaa"
    assert (completed["env"], completed["modality"], completed["state"]) == ("grid_trap", "pd", "completed")
    assert completed["normalized_return"] == 93.0
    assert completed["normalized_return_stderr"] == 0.5
    assert completed["normalized_return_replicates"] == [90.0, 96.0]
    assert completed["model.hidden_sizes"] == [64, 32]
    assert completed["policy.clip_range"] == "lin_0.2"
    assert completed["flag"] is True
    assert completed["overrides"] == "seed=0 optim.lr=1e-2"
    assert completed["error"] is None
    assert (completed["optim.lr"], failed["optim.lr"]) == (0.01, 1.0)
    assert table.schema["optim.lr"] == polars.Float64
    assert table.schema["seed"] == polars.Int64
    assert failed["regret"] is None
    assert not [name for name in table.columns if "_target_" in name or "@" in name]


def test_json(root: Path) -> None:
    failed, completed = json.loads(_export(root, ".json").read_text())
    assert completed["regret_replicates"] == [1.0, 2.0]
    assert completed["model.hidden_sizes"] == [64, 32]
    assert failed["error"] == 'E: "quoted", with a comma\nand a line'
    assert failed["regret"] is None


def test_csv(root: Path) -> None:
    table = polars.read_csv(_export(root, ".csv"))
    failed, completed = table.to_dicts()
    assert completed["normalized_return"] == 93.0
    assert json.loads(completed["model.hidden_sizes"]) == [64, 32]
    assert failed["error"] == 'E: "quoted", with a comma\nand a line'
    assert not [name for name in table.columns if name.endswith("_replicates")]


def test_columns_of_mixed_kinds_are_text(make_run: Callable[..., Path], tmp_path: Path) -> None:
    for k, value in enumerate([0.2, "lin_0.2", [1, 2], True, None]):
        make_run(f"grid_trap/pd/{k}", config={"odd": value, "half": [1, True][k % 2]})
    root = tmp_path / "runs"
    rows = json.loads(_export(root, ".json").read_text())
    assert [row["odd"] for row in rows] == ["0.2", "lin_0.2", "[1, 2]", "true", None]
    assert [row["half"] for row in rows] == ["1", "true", "1", "true", "1"]


def test_a_run_of_which_nothing_is_known_has_a_row(make_run: Callable[..., Path], tmp_path: Path) -> None:
    path = make_run()
    (path / "config.json").unlink()
    (run,) = find_runs(tmp_path / "runs")
    assert run_row(run, tmp_path / "runs")["directory"] == "grid_trap/pd/aaa"


def test_a_file_that_cannot_be_written_is_named_and_the_old_one_stays(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = _export(root, ".csv")
    before = path.read_bytes()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(polars.DataFrame, "write_csv", full)
    with pytest.raises(StorageError, match=r"table\.csv: No space"):
        export_runs(find_runs(root), root, path)
    assert path.read_bytes() == before
    assert sorted(p.name for p in root.parent.iterdir()) == ["runs", "table.csv"]


def test_formulas_are_text_in_csv_only(make_run: Callable[..., Path], tmp_path: Path) -> None:
    make_run(config={"overrides": ["+x=1"], "seed": -1, "note": "=1+1"})
    root = tmp_path / "runs"
    (row,) = polars.read_csv(_export(root, ".csv")).to_dicts()
    assert (row["overrides"], row["note"], row["seed"]) == ("'+x=1", "'=1+1", -1)
    (tmp_path / "table.csv").unlink()
    (row,) = polars.read_parquet(_export(root, ".parquet")).to_dicts()
    assert (row["overrides"], row["note"]) == ("+x=1", "=1+1")
