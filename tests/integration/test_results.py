"""Tasks that read runs, on real runs: what they say, and that they leave no trace."""

import json
from pathlib import Path
from typing import Any

import polars
import pytest

from mavrl.storage.files import read_json
from mavrl.storage.sweeps import PlannedRun, record_sweep

pytestmark = pytest.mark.integration

READING = ("status", "list", "select_best", "purge", "show")


@pytest.fixture(scope="module")
def trap(app: Any) -> Any:
    return _finished(app("modality=p"))


@pytest.fixture(scope="module")
def cliff(app: Any) -> Any:
    return _finished(app("env=grid_cliff", "modality=d", "seed=3", "optim.lr=2e-2"))


@pytest.fixture(scope="module")
def failed(app: Any) -> Path:
    """A run that fails before it has trained."""
    (app.directory / "file").touch()
    outcome = app("modality=s", "paths.cache=file/below")
    assert outcome.status == 1
    return next((app.directory / "runs/grid_trap/s").iterdir())


@pytest.fixture(scope="module")
def folder(app: Any, trap: Any, cliff: Any, failed: Path) -> Any:
    """Runs whatever task, on a folder with two finished runs, a failed one and a pending one."""
    jobs = [PlannedRun(run.relative_to(app.directory / "runs").as_posix(), []) for run in (trap.run, cliff.run)]
    record_sweep(app.directory / "runs", "python run.py -m x", [*jobs, PlannedRun("grid_path/r/123", ["modality=r"])])
    return app


def _finished(outcome: Any) -> Any:
    assert outcome.status == 0, outcome.err
    return outcome


def _ask(app: Any, *arguments: str) -> list[str]:
    """The lines that a task prints."""
    outcome = app(*arguments, tiny=False)
    assert outcome.status == 0, outcome.err
    assert outcome.err == ""
    assert "\x1b" not in outcome.out
    return outcome.out.splitlines()


def test_the_configuration_of_every_run_is_kept_as_json(trap: Any, cliff: Any, failed: Path) -> None:
    config = read_json(cliff.run / "config.json")
    assert config["choices"]["env"] == "grid_cliff"
    assert config["choices"]["policy"] == "exact"
    assert not {"task", "logger", "search", "hydra/launcher"} & set(config["choices"])
    assert (config["seed"], config["optim"]["lr"], config["env"]["size"]) == (3, 0.02, 4)
    assert config["feedback"]["rating"] == {"n_samples": 0}
    assert "optim.lr=2e-2" in config["overrides"]
    assert read_json(failed / "config.json")["choices"]["modality"] == "s"


def test_status(folder: Any, failed: Path) -> None:
    lines = _ask(folder, "task=status")
    assert lines[0].startswith("runs ")
    assert lines[0].endswith("2 of 4 completed (50 %)")
    assert lines[1] == "pending 1   running 0   interrupted 0   completed 2   failed 1"
    assert "runs an hour; " in lines[2]
    (error,) = [line for line in lines if line.startswith("  grid_trap/s/")]
    assert f"{failed.name}  StorageError: " in error
    assert max(map(len, lines)) <= 80
    assert _ask(folder, "task=status", "env=grid_cliff")[0].endswith("1 of 1 completed (100 %)")
    assert _ask(folder, "task=status", "modality=r")[0].endswith("0 of 1 completed (0 %)")


def test_status_of_a_sweep(folder: Any) -> None:
    (sweep,) = [path.stem for path in (folder.directory / "runs" / ".sweeps").iterdir()]
    assert any(line.startswith(f"  {sweep}  3 runs  python run.py -m x") for line in _ask(folder, "task=status"))
    lines = _ask(folder, "task=status", f"task.sweep={sweep}")
    assert lines[0].startswith(f"sweep {sweep} ")
    assert lines[1] == "pending 1   running 0   interrupted 0   completed 2   failed 0"


def test_list_and_filters(folder: Any, trap: Any, cliff: Any, failed: Path) -> None:
    def listed(*arguments: str) -> list[str]:
        return [line.split()[-1].rpartition("/")[2] for line in _ask(folder, "task=list", *arguments)[1:]]

    everything = [cliff.run.name, trap.run.name, failed.name]
    assert listed() == everything
    assert listed("task.sort=modality") == [trap.run.name, cliff.run.name, failed.name]
    assert listed("env=grid_trap") == everything[1:]
    assert listed("optim.lr=0.02") == listed("seed=3") == [cliff.run.name]
    assert listed("task.state=failed") == [failed.name]
    assert listed("task.state=[completed,failed]", "feedback.stop.n_samples=0") == everything[:2]
    assert _ask(folder, "task=list", "env=grid_path") == ["no run in runs matches env=grid_path"]


def test_filters_are_conditions_and_no_settings(folder: Any) -> None:
    """What no run could be started with may still be asked for."""
    assert _ask(folder, "task=list", "policy=ppo") == ["no run in runs matches policy=ppo"]
    assert _ask(folder, "task=list", "trainer.patience=3") == ["no run in runs matches trainer.patience=3"]


def test_show(folder: Any, trap: Any, failed: Path) -> None:
    lines = _ask(folder, "task=show", f"run_dir={trap.run}")
    assert lines[0].split() == ["state", "completed"]
    assert lines[-1] == str(trap.run)
    values = [f"{value:.4g}" for value in trap.metrics["final"]["epic_distance"]]
    assert [line.split()[3:] for line in lines if line.startswith("epic_distance")] == [values]
    assert any("StorageError" in line for line in _ask(folder, "task=show", f"run_dir={failed}"))


def test_select_best(folder: Any, trap: Any, cliff: Any) -> None:
    ordered = sorted((trap, cliff), key=lambda outcome: outcome.metrics["mean"]["epic_distance"])
    lines = _ask(folder, "task=select_best", "task.metric=epic_distance")
    assert lines[0].startswith("lowest epic_distance of 2 completed runs: ")
    assert (folder.directory / lines[-1]).resolve() == ordered[0].run.resolve()
    lines = _ask(folder, "task=select_best", "task.metric=spearman", "env=grid_cliff")
    assert lines[0].startswith("highest spearman of 1 completed run: ")
    assert (folder.directory / lines[-1]).resolve() == cliff.run.resolve()
    ordered = sorted((trap, cliff), key=lambda outcome: outcome.metrics["mean"]["discounted_value"])
    best = folder.directory / _ask(folder, "task=select_best", "task.metric=discounted_value")[-1]
    assert best.resolve() == ordered[-1].run.resolve()


@pytest.mark.parametrize("suffix", ["csv", "parquet", "json"])
def test_export(suffix: str, folder: Any, trap: Any, snapshot: Any) -> None:
    before = snapshot(folder.directory / "runs")
    lines = _ask(folder, "task=export", "env=grid_trap", f"task.output=table.{suffix}")
    assert lines == ["2 runs", f"table.{suffix}"]
    path = folder.directory / f"table.{suffix}"
    if suffix == "json":
        rows = json.loads(path.read_text())
    else:
        rows = (polars.read_csv if suffix == "csv" else polars.read_parquet)(path).to_dicts()
    path.unlink()
    assert [row["modality"] for row in rows] == ["p", "s"]
    assert rows[0]["epic_distance"] == pytest.approx(trap.metrics["mean"]["epic_distance"])
    assert rows[0]["env.size"] == 4
    assert snapshot(folder.directory / "runs") == before


@pytest.mark.parametrize("task", READING)
def test_reading_leaves_no_trace_and_does_not_wait_for_torch(task: str, folder: Any, trap: Any, snapshot: Any) -> None:
    def places() -> dict[Path, int]:
        return {path: path.stat().st_mtime_ns for path in [folder.directory, *folder.directory.rglob("*")]}

    before, times = snapshot(folder.directory), places()
    outcome = folder(f"task={task}", f"run_dir={trap.run}", tiny=False, process=True, python=("-X", "importtime"))
    assert outcome.status == 0, outcome.err
    imported = {line.rpartition("|")[2].strip() for line in outcome.err.splitlines()}
    assert not imported & {"torch", "lightning", "matplotlib", "scipy", "gymnasium", "polars"}
    assert snapshot(folder.directory) == before
    assert places() == times


CASES = {
    "task=list paths.runs=nowhere": ("paths.runs=nowhere", "no such folder"),
    "task=status task.sweep=abc": ("task.sweep=abc", "no such sweep"),
    "task=list task.state=pendng": ("task.state=pendng", "interrupted"),
    "task=list task.sort=size": ("task.sort=size", "normalized_return"),
    "task=list checkpoint_seconds=1 counts=small": ("counts=small", "none of these 3 runs has this key"),
    "task=list env=grid_trap,grid_cliff": ("env=grid_trap,grid_cliff",),
    "task=list experiment.name='a,b'": ("experiment.name", "no such key"),
    "task=list model.prior.scale='1,2'": ("model.prior.scale='1,2'", "one value"),
    "task=show": ("run_dir=null", "directory of a run"),
    "task=show run_dir=runs": ("run_dir=runs", "directory of a run"),
    "task=export task.output=table.xlsx": ("task.output=table.xlsx", ".csv, .parquet, .json"),
    "task=export env=grid_path": ("task.output=runs.csv", "no run in runs matches env=grid_path"),
    "task=select_best task.metric=loss": ("task.metric=loss", "epic_distance"),
    "task=select_best task.metric=mean_return": ("task.metric=mean_return", "none of 2 completed runs"),
    "task=purge task.confirm=maybe": ("task.confirm=maybe", "true, false"),
}


@pytest.mark.parametrize("command", CASES)
def test_bad_input_is_one_clear_line(command: str, folder: Any, snapshot: Any) -> None:
    before = snapshot(folder.directory)
    outcome = folder(*command.split(), tiny=False)
    assert outcome.status == 2, outcome.err
    (line,) = outcome.err.splitlines()
    assert line.startswith("error: ")
    for word in CASES[command]:
        assert word in line
    assert snapshot(folder.directory) == before


@pytest.mark.parametrize("task", ["status", "list", "purge"])
def test_an_empty_folder(task: str, fresh_app: Any) -> None:
    (fresh_app.directory / "runs").mkdir()
    lines = _ask(fresh_app, f"task={task}")
    assert len(lines) == 1
    assert lines[0].startswith("no run in runs")
    assert list(fresh_app.directory.rglob("*")) == [fresh_app.directory / "runs"]


LONG = ("modality=pr", "trainer.max_epochs=5000", "trainer.passes_per_epoch=1")


def test_a_run_whose_process_is_gone_is_not_running_and_a_running_one_is_never_purged(fresh_app: Any) -> None:
    killed = fresh_app.kill_when(LONG, lambda run: (run / "config.json").exists())
    counts = "pending 0   running 0   interrupted 1   completed 0   failed 0"
    assert _ask(fresh_app, "task=status")[1] == counts
    process = fresh_app.start(*LONG, "seed=9")
    try:
        while len(list((fresh_app.directory / "runs").rglob("config.json"))) < 2:
            assert process.poll() is None
        assert "running 1   interrupted 1" in _ask(fresh_app, "task=status")[1]
        preview = _ask(fresh_app, "task=purge", "task.state=any")
        assert [line.split()[:2] for line in preview[:-1]].count(["keep", "running"]) == 1
        assert preview[-1].startswith("1 run, ")
        assert preview[-1].endswith("nothing is deleted yet, add task.confirm=true")
        assert killed.exists()
        lines = _ask(fresh_app, "task=purge", "task.state=any", "task.confirm=true")
        assert lines[-1].startswith("deleted 1 run, ")
        assert not killed.exists()
        (kept,) = (fresh_app.directory / "runs").rglob("status.json")
        assert any(line.startswith("keep ") and str(kept.parent.name) in line for line in lines)
        assert process.poll() is None
    finally:
        process.kill()
        process.communicate()


def test_ctrl_c_is_an_interruption(fresh_app: Any) -> None:
    import signal
    import time

    process = fresh_app.start(*LONG)
    deadline = time.monotonic() + 300
    while not list((fresh_app.directory / "runs").rglob("checkpoints/step=*.ckpt")) and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    fresh_app.finish(process)
    assert process.returncode != 0
    status = read_json(next((fresh_app.directory / "runs").rglob("status.json")))
    assert status["state"] == "interrupted"
    assert "error" not in status


def test_purge_deletes_what_failed_and_nothing_else(fresh_app: Any, snapshot: Any) -> None:
    finished = _finished(fresh_app("modality=p"))
    (fresh_app.directory / "file").touch()
    assert fresh_app("-m", "modality=s", "paths.cache=file/below").status == 1
    before = snapshot(fresh_app.directory)
    kept = snapshot(finished.run)
    lines = _ask(fresh_app, "task=purge")
    assert lines[0].startswith("delete  failed ")
    assert snapshot(fresh_app.directory) == before
    assert _ask(fresh_app, "task=purge", "task.confirm=true", "env=grid_cliff")[0].startswith("no run in runs matches")
    assert snapshot(fresh_app.directory) == before
    assert _ask(fresh_app, "task=purge", "task.confirm=true")[-1].startswith("deleted 1 run, ")
    assert snapshot(finished.run) == kept
    assert [path.parent for path in (fresh_app.directory / "runs").rglob("status.json")] == [finished.run]
    assert _ask(fresh_app, "task=status")[1].startswith("pending 0 ")  # no sweep waits for what was purged
