"""Killed, damaged, unwritable: a run goes on, or says why it cannot."""

import csv
import resource
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from mavrl.storage.files import read_json
from tests.fixtures.processes import children, send, wait_until_ended

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


@pytest.fixture(scope="module")
def finished(app: Any) -> Path:
    outcome = app("modality=p")
    assert outcome.status == 0, outcome.err
    return outcome.run if outcome.run.is_absolute() else app.directory / outcome.run


@pytest.mark.parametrize("damage", ["", "[]", '{"state": 3}', None])
@pytest.mark.parametrize("left", [("metrics.json", "config.json"), ("metrics.json",), ("config.json",), ()])
def test_a_finished_run_is_not_overwritten_by_another_when_its_status_is_damaged(
    damage: str | None, left: tuple[str, ...], finished: Path, fresh_app: Any
) -> None:
    run = fresh_app.directory / "here"
    shutil.copytree(finished, run)
    (run / "status.json").unlink() if damage is None else (run / "status.json").write_text(damage)
    for name in {"metrics.json", "config.json"} - set(left):
        (run / name).write_text("")
    before = {path: path.read_bytes() for path in run.rglob("*.json")}
    words = (("modality=d", 2), ("modality=p", 2)) if not left else (("modality=d", 2),)
    for modality, status in words:
        refused = fresh_app(modality, "hydra.run.dir=here")
        assert refused.status == status
        (line,) = (line for line in refused.err.splitlines() if line.startswith("error: "))
        assert line.startswith("error: hydra.run.dir=")
        assert ("holds a run of another configuration" if left else "nothing says which run it holds") in line
        assert {path: path.read_bytes() for path in run.rglob("*.json")} == before


@pytest.mark.parametrize("name", ["metrics.json", "config.json"])
def test_the_same_run_is_run_again_when_its_status_is_damaged(name: str, finished: Path, fresh_app: Any) -> None:
    run = fresh_app.directory / "here"
    shutil.copytree(finished, run)
    expected = read_json(run / "metrics.json")["final"]
    for damaged in ("status.json", name):
        (run / damaged).write_text("{")
    same = fresh_app("modality=p", "hydra.run.dir=here")
    assert same.status == 0, same.err
    assert same.metrics["final"] == expected


def test_a_flipped_bit_in_the_reward_model_is_one_line(finished: Path, fresh_app: Any) -> None:
    run = fresh_app.directory / "here"
    shutil.copytree(finished, run)
    weights = run / "reward_model" / "weights.safetensors"
    content = weights.read_bytes()
    weights.write_bytes(content[:-7] + bytes([content[-7] ^ 64]) + content[-6:])
    for task in (("task=evaluate",), ("task=transfer", "env.p_rand=0.1")):
        refused = fresh_app(*task, "run_dir=here", tiny=False)
        assert refused.status == 1
        (line,) = refused.err.splitlines()
        assert line.endswith("weights.safetensors: damaged, its checksum is not the one in its description")


def test_a_directory_in_the_place_of_a_cache_entry_stops_nothing(fresh_app: Any) -> None:
    whole = fresh_app("modality=p")
    entry = next(iter((fresh_app.directory / "cache" / "preference").iterdir()))
    entry.unlink()
    entry.mkdir()
    again = fresh_app("modality=p", "paths.runs=again")
    assert again.status == 0, again.err
    assert "is a directory; its answers are not kept" in again.err
    assert again.metrics["final"] == whole.metrics["final"]


@pytest.mark.parametrize("code", [0, None, 3])
def test_code_that_exits_ends_no_command_with_status_0(
    code: int | None, fresh_app: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mavrl.training.run.run", lambda *_: sys.exit(code))
    for words in (("modality=p",), ("-m", "modality=p,d")):
        outcome = fresh_app(*words)
        assert outcome.status == 1
        assert f"ended before its result: something that it ran called sys.exit({code!r})" in outcome.out + outcome.err
        assert "Traceback" not in outcome.err
    states = [read_json(path)["state"] for path in fresh_app.directory.glob("runs/*/*/*/status.json")]
    assert states == ["failed"] * 2


@contextmanager
def _full_after(size: int) -> Iterator[None]:
    """Files take so many bytes: the system refuses more as it does when a disk is full, and names no file either."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("size", [1_000, 3_000, 10_000, 30_000])
@pytest.mark.parametrize("logger", ["csv", "tensorboard"])
def test_a_full_disk_names_the_path(size: int, logger: str, fresh_app: Any) -> None:
    with _full_after(size):
        outcome = fresh_app("modality=p", f"logger={logger}", "checkpoint_seconds=0")
    assert outcome.status == 1
    (line,) = outcome.err.splitlines()
    assert line.endswith(": File too large")
    assert line.startswith(("error: runs/", "error: cache/", f"error: {fresh_app.directory}/runs/"))


def test_a_full_disk_names_the_journal_or_a_run_of_a_search(fresh_app: Any) -> None:
    search = ("-m", "hydra/sweeper=optuna", "study=full", "modality=p", "search.n_trials=2")
    with _full_after(1_000):
        outcome = fresh_app(*search)
    assert outcome.status == 1
    (line,) = outcome.err.splitlines()
    assert line.startswith("error: studies/full/grid_trap/p/journal.log: File too large")
    assert fresh_app(*search).status == 0


# Signals --------------------------------------------------------------------------------------------------------------

LONG = ("trainer.max_epochs=100000", "checkpoint_seconds=0")
SIGNALS = {signal.SIGINT: 130, signal.SIGTERM: 143}
ONE_LINE = "interrupted; the same command goes on\n"


def _interrupted(app: Any, words: tuple[str, ...], number: int, runs: str = "runs", to_all: bool = False) -> Any:
    """Start a command, send it a signal as soon as it learns a reward, and return how it ended.

    Args:
        to_all: signal its children, too, as a terminal does.
    """
    process = app.start(*words, *LONG)
    deadline = time.monotonic() + 120
    while not list(app.directory.glob(f"{runs}/*/*/*/checkpoints/step=*")):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.05)
    workers = children(process.pid)
    for pid in (*workers, process.pid) if to_all else (process.pid,):
        send(pid, number)
    outcome = app.finish(process)
    assert wait_until_ended(*workers)
    return outcome


@pytest.mark.parametrize("number", SIGNALS)
def test_a_run_that_is_told_to_end_says_so(number: signal.Signals, fresh_app: Any) -> None:
    outcome = _interrupted(fresh_app, ("modality=p",), number)
    assert (outcome.status, outcome.err) == (SIGNALS[number], ONE_LINE)
    directory = fresh_app.run_directory()
    assert read_json(directory / "status.json")["state"] == "interrupted"
    assert list((directory / "checkpoints").glob("step=*"))
    assert not (directory / "metrics.json").exists()


def test_a_sweep_that_is_told_to_end_does_not_end_well(fresh_app: Any) -> None:
    outcome = _interrupted(fresh_app, ("-m", "modality=p,d"), signal.SIGTERM)
    assert (outcome.status, outcome.err) == (143, ONE_LINE)
    assert [read_json(p)["state"] for p in fresh_app.directory.glob("runs/*/*/*/status.json")] == ["interrupted"]


@pytest.mark.parametrize(
    ("how", "number"),
    [((), signal.SIGTERM), (("search.workers=2",), signal.SIGINT), (("hydra/launcher=local",), signal.SIGINT)],
)
def test_a_search_that_is_told_to_end_counts_nothing(
    how: tuple[str, ...], number: signal.Signals, fresh_app: Any
) -> None:
    from mavrl.search.record import read_studies
    from mavrl.search.storage import open_storage

    words = ("-m", "hydra/sweeper=optuna", "study=cut", "modality=p", "search.n_trials=4", *how)
    outcome = _interrupted(fresh_app, words, number, "studies/cut", to_all=True)
    assert (outcome.status, outcome.err) == (SIGNALS[number], ONE_LINE)
    (record,) = read_studies(open_storage(str(fresh_app.directory / "studies/cut/grid_trap/p/journal.log")))
    assert {trial.state for trial in record.trials} == {"running"}


# Terminals ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("words", [("task=list",), ("task=status",), ("task=table",)])
def test_terminals_that_know_ascii_alone(words: tuple[str, ...], app: Any) -> None:
    assert app("-m", "modality=p,d").status == 0
    plain = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": ""}
    shown = app(*words, process=True, tiny=False, **plain)
    assert (shown.status, shown.err) == (0, "")
    assert "grid_trap" in shown.out
    assert shown.out.isascii()
