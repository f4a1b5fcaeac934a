"""Killed, damaged, unwritable: a run goes on, or says why it cannot."""

import csv
from pathlib import Path
from typing import Any

import pytest

from mavrl.storage.files import read_json

pytestmark = pytest.mark.integration

# One step an epoch, a checkpoint after each: the runs are long enough to be killed in the middle of training.
PLANNED = ("modality=pr", "trainer.max_epochs=150", "trainer.passes_per_epoch=1", "checkpoint_seconds=0")
REFERENCE = (
    "modality=pd", "experiment=reference", "selection=best", "trainer.validation=true", "trainer.max_epochs=25",
    "optim.batch_size=8", "checkpoint_seconds=0",
)  # fmt: skip
CASES = {"default": PLANNED, "reference": REFERENCE}


def _started(directory: Path) -> bool:
    return (directory / "status.json").exists()


def _trained(epochs: int, batches: int = 1) -> Any:
    def reached(directory: Path) -> bool:
        steps = [int(p.name.split("=")[1].split("-")[0]) for p in (directory / "checkpoints").glob("step=*.ckpt")]
        return bool(steps) and max(steps) >= epochs * batches

    return reached


def _rows(run: Path) -> list[dict[str, str]]:
    with (run / "metrics.csv").open() as file:
        return list(csv.DictReader(file))


def _close(one: dict[str, list[float]], other: dict[str, list[float]]) -> bool:
    return one.keys() == other.keys() and all(one[name] == pytest.approx(other[name], abs=1e-6) for name in one)


@pytest.mark.parametrize("case", CASES)
def test_a_killed_run_ends_like_an_uninterrupted_one(case: str, fresh_app: Any, tmp_path: Path) -> None:
    arguments = CASES[case]
    whole = fresh_app(*arguments, "paths.runs=whole")
    assert whole.status == 0, whole.err
    moments = [_started, _trained(3), _trained(50)]
    for moment in moments if case == "default" else moments[1:]:
        fresh_app.kill_when(arguments, moment)
        directory = fresh_app.run_directory()
        assert directory is not None
        assert read_json(directory / "status.json")["state"] == "running"
        assert not (directory / "metrics.json").exists()
    resumed = fresh_app(*arguments)
    assert resumed.status == 0, resumed.err
    assert _close(resumed.metrics["final"], whole.metrics["final"])
    rows, expected = _rows(resumed.run), _rows(whole.run)
    assert [row["epoch"] for row in rows] == [str(k) for k in range(len(expected))]
    assert len(expected) == (150 if case == "default" else 25)
    for row, other in zip(rows, expected, strict=True):
        assert {k: float(v) for k, v in row.items()} == pytest.approx({k: float(v) for k, v in other.items()}, abs=1e-5)
    assert not (resumed.run / "checkpoints").exists()


def test_a_damaged_checkpoint_and_a_damaged_cache_entry_are_warned_of(fresh_app: Any) -> None:
    whole = fresh_app(*PLANNED, "paths.runs=whole", "paths.cache=null")
    fresh_app.kill_when(PLANNED, _trained(10))
    for checkpoint in fresh_app.directory.glob("runs/*/*/*/checkpoints/step=*.ckpt"):  # two, if killed in between
        checkpoint.write_bytes(checkpoint.read_bytes()[:-100])
    entry = next(iter((fresh_app.directory / "cache" / "rating").iterdir()))
    entry.write_bytes(b"")
    resumed = fresh_app(*PLANNED)
    assert resumed.status == 0, resumed.err
    assert f"{checkpoint.name} is damaged" in resumed.err
    assert str(entry.relative_to(fresh_app.directory)) in resumed.err
    assert len(resumed.err.splitlines()) == 2
    assert "Traceback" not in resumed.err
    assert _close(resumed.metrics["final"], whole.metrics["final"])
    assert entry.stat().st_size > 0


@pytest.mark.parametrize("key", ["paths.runs", "paths.cache"])
def test_an_unwritable_directory_is_one_clear_line(key: str, fresh_app: Any) -> None:
    (fresh_app.directory / "file").touch()
    outcome = fresh_app("modality=p", f"{key}=file/below")
    assert outcome.status != 0
    (line,) = outcome.err.splitlines()
    assert line.startswith("error: ")
    assert "file" in line
    assert "Not a directory" in line or "File exists" in line
    if key == "paths.cache":
        status = read_json(fresh_app.run_directory() / "status.json")
        assert status["state"] == "failed"
        assert "StorageError" in status["error"]
        (fresh_app.directory / "file").unlink()
        assert fresh_app("modality=p", f"{key}=file/below").status == 0  # a later launch tries again


def test_what_a_kill_during_the_first_write_leaves_is_no_obstacle(fresh_app: Any) -> None:
    directory = fresh_app.directory / "here"
    directory.mkdir()
    (directory / ".lock").touch()
    (directory / ".status.json.x8k2.json").write_text('{"sta')
    outcome = fresh_app("modality=p", "hydra.run.dir=here")
    assert outcome.status == 0, outcome.err
    assert outcome.run.resolve() == directory.resolve()


def test_a_directory_that_holds_something_else_is_refused(fresh_app: Any) -> None:
    (fresh_app.directory / "here").mkdir()
    (fresh_app.directory / "here" / "thesis.tex").touch()
    outcome = fresh_app("modality=p", "hydra.run.dir=here")
    assert outcome.status == 2
    (line,) = outcome.err.splitlines()
    assert "hydra.run.dir" in line
    assert [path.name for path in (fresh_app.directory / "here").iterdir()] == ["thesis.tex"]
