"""-m: combinations, of which only what is missing is run, and what failed is named."""

import json
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.integration

SMALL = ("env.size=4", "env.max_steps=30", "replicates=1", "trainer.max_epochs=1", "trainer.passes_per_epoch=1")


def directories(app: Any) -> set[str]:
    return {str(path.parent.relative_to(app.directory)) for path in app.directory.glob("runs/*/*/*/metrics.json")}


@pytest.fixture(scope="module")
def sweep(app: Any) -> Any:
    app.settings = SMALL
    return app("-m", "env=grid_trap,grid_cliff", "modality=p,d", "model.backup=optimal,soft", "seed=0,1")


def test_every_combination_is_run_but_those_that_a_rule_leaves_out(sweep: Any, app: Any) -> None:
    assert sweep.status == 0, sweep.err
    assert "8 runs: 8 to do, 8 left out by skip.backup_of_planned" in sweep.out
    assert len(directories(app)) == 8
    cells = {tuple(path.split("/")[1:3]) for path in directories(app)}
    assert cells == {(env, modality) for env in ("grid_trap", "grid_cliff") for modality in "pd"}


def test_the_same_command_runs_nothing_and_a_larger_one_only_what_is_new(sweep: Any, app: Any, snapshot: Any) -> None:
    before = snapshot(app.directory / "runs")
    again = app("-m", "env=grid_trap,grid_cliff", "modality=p,d", "model.backup=optimal,soft", "seed=0,1")
    assert again.status == 0
    assert "8 runs: 0 to do, 8 finished before" in again.out
    assert snapshot(app.directory / "runs") == before
    more = app("-m", "env=grid_trap,grid_cliff", "modality=p,d,s", "seed=0,1")
    assert "12 runs: 4 to do, 8 finished before" in more.out
    assert len(directories(app)) == 12


def test_two_runs_in_one_directory_are_refused_before_any_work(app: Any, sweep: Any) -> None:
    refused = app("-m", "modality=r", "seed=0,7", "hydra.sweep.subdir=x")
    assert refused.status == 2
    assert refused.err == (
        "error: hydra.sweep.subdir=x: is the directory of several runs, such as seed=0 and seed=7; leave it out\n"
    )
    assert not (app.directory / "runs" / "x").exists()


def test_what_would_be_run_is_only_shown(app: Any, sweep: Any) -> None:
    shown = app("-m", "modality=p,r", "seed=0,7", "dry_run=true")
    assert shown.status == 0
    assert "4 runs: 3 to do, 1 finished before" in shown.out
    assert len(shown.out.splitlines()) == 4
    cells = [line.split()[:-1] for line in shown.out.splitlines()[1:]]
    assert cells == [["env=grid_trap", f"modality={m}", f"seed={s}"] for m, s in (("p", 7), ("r", 0), ("r", 7))]
    assert not (app.directory / "runs" / "grid_trap" / "r").exists()


@pytest.fixture(scope="module")
def failing(app: Any) -> Any:
    app.settings = SMALL
    return app("-m", "modality=p,d", "env.layout=trap,nope,cliff", "paths.runs=failing")


def test_one_failure_stops_no_other_and_is_named_at_the_end(failing: Any, app: Any) -> None:
    assert failing.status == 1
    assert len(list(app.directory.glob("failing/*/*/*/metrics.json"))) == 4
    last = failing.out.splitlines()[-3:]
    assert last[0].startswith("2 of 6 runs failed")
    assert all("failing/grid_trap/" in line and "env.layout=nope: must be one of" in line for line in last[1:])
    assert failing.err.strip().splitlines()[-1] == "error: 2 of 6 runs failed"
    assert "Traceback" not in failing.err


def test_retry_runs_what_failed_in_its_own_directory(failing: Any, app: Any) -> None:
    """It fails again, so that the runs and their errors can be compared."""
    before = {p: json.loads(p.read_text()) for p in app.directory.glob("failing/*/*/*/status.json")}
    retried = app("task=retry", "modality=d", "paths.runs=failing", tiny=False)
    assert retried.status == 1
    assert "1 run: 1 to do" in retried.out
    after = {p: json.loads(p.read_text()) for p in app.directory.glob("failing/*/*/*/status.json")}
    assert before.keys() == after.keys()
    changed = [path for path, status in after.items() if status != before[path]]
    assert [path.parts[-3] for path in changed] == ["d"]
    assert "nope" in after[changed[0]]["error"]


def test_retry_finishes_what_was_cut_off(app: Any, fresh_app: Any) -> None:
    arguments = ("trainer.max_epochs=150", "checkpoint_seconds=0", "modality=d")
    directory = fresh_app.kill_when(arguments, lambda run: any(run.glob("checkpoints/step=*.ckpt")))
    config = json.loads((directory / "config.json").read_text())
    assert config["trainer"]["max_epochs"] == 150
    retried = fresh_app("task=retry", tiny=False)
    assert retried.status == 0, retried.err
    assert json.loads((directory / "metrics.json").read_text())["env"] == "grid_trap"
    assert "0 runs" in fresh_app("task=retry", tiny=False).out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("optim.lr=0.1,-1",), "error: optim.lr=-1: must be a number"),
        (("modality=p,nope",), "error: modality=nope: unknown"),
        (("skip.mine=3",), "error: skip.mine=3"),
        (("+skip.mine=3",), "error: skip.mine=3: must map keys to values"),
        (("dry_run=7",), "error: dry_run=7: must be one of true, false"),
        (("optim.lr=interval(0.1,0.2)",), "error: optim.lr=interval(0.1,0.2): has no single values"),
        (("hydra.sweeper.params=null",), "error: hydra.sweeper.params=null: no such key"),
    ],
)
def test_a_combination_that_cannot_work_stops_the_sweep_before_it_begins(
    fresh_app: Any, arguments: tuple[str, ...], said: str
) -> None:
    refused = fresh_app("-m", *arguments, tiny=False)
    assert refused.status == 2
    assert refused.err.startswith(said), refused.err
    assert len(refused.err.strip().splitlines()) == 1
    assert not (fresh_app.directory / "runs").exists()


def test_own_rules_leave_combinations_out(fresh_app: Any) -> None:
    rules = ("+skip.mine={modality.name: [p, r], seed: 1}", "skip.backup_of_planned=null")
    shown = fresh_app("-m", "modality=p,d", "seed=0,1", "model.backup=optimal,soft", "dry_run=true", *rules)
    assert "6 runs: 6 to do, 2 left out by skip.mine" in shown.out


def test_a_sweep_is_recorded_so_that_what_is_missing_is_known(app: Any, sweep: Any) -> None:
    records = [json.loads(path.read_text()) for path in Path(app.directory / "runs" / ".sweeps").glob("*.json")]
    assert sorted(len(record["runs"]) for record in records) == [8, 12] or [len(r["runs"]) for r in records] == [8]
    assert all(record["command"].startswith("python run.py -m") or "-m" in record["command"] for record in records)


def test_other_tasks_are_run_for_every_value(sweep: Any, app: Any) -> None:
    runs = sorted(str(path.parent) for path in app.directory.glob("runs/grid_trap/p/*/metrics.json"))[:2]
    evaluated = app("-m", "task=evaluate", f"run_dir={','.join(runs)}", tiny=False)
    assert evaluated.status == 0, evaluated.err
    assert "2 runs: 2 to do" in evaluated.out
    assert evaluated.out.count("as stored") == 2
