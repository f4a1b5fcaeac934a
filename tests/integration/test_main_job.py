"""The main job: a complete run directory, and everything that reads or repeats it."""

import csv
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mavrl
from mavrl.storage.files import read_json

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def first(app: Any) -> Any:
    outcome = app("paths.cache=null", "figures=auto", process=True)
    assert outcome.status == 0, outcome.err
    return outcome


def test_the_output_ends_with_the_run_directory_and_nothing_is_complained_about(first: Any, app: Any) -> None:
    assert first.run.is_dir()
    assert first.run.parts[-3:-1] == ("grid_trap", "pdrs")
    assert app.directory in first.run.parents
    assert first.err == ""
    assert "normalized return" in first.out


@pytest.mark.parametrize("word", ["auto", "false"])
def test_where_there_is_no_terminal_lines_say_how_far_it_is(
    word: str, fresh_app: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mavrl.progress._FIRST_LINE", 0.0)
    outcome = fresh_app("paths.cache=null", f"progress={word}", TQDM_DISABLE="")
    assert outcome.status == 0, outcome.err
    stages = {line.partition(":")[0] for line in outcome.err.splitlines()}
    assert stages >= {"learning", "drawing"} if word == "auto" else not stages
    assert word == "false" or "learning: 3 of 3 epochs, 00:0" in outcome.err


def test_the_run_directory_is_complete(first: Any) -> None:
    names = {str(path.relative_to(first.run)) for path in first.run.rglob("*") if path.is_file()}
    expected = {
        "status.json", "config.json", "metrics.json", "metrics.csv", "shown.safetensors",
        "reward_model/weights.safetensors", "reward_model/description.json", "reward_model/metrics.json",
        "reward_model/README.md",
        ".hydra/config.yaml", ".hydra/hydra.yaml", ".hydra/overrides.yaml",
    }  # fmt: skip
    drawn = ("rewards", "value", "occupancy", "coverage", "losses", "reliability", "segment_returns")
    figures = {f"figures/{name}.png" for name in drawn}
    assert names - {".lock"} == expected | figures
    assert not (first.run / "checkpoints").exists()
    status = read_json(first.run / "status.json")
    assert status["state"] == "completed"
    assert {"host", "started", "ended", "config_hash"} <= set(status)
    assert (first.run / "figures/rewards.png").read_bytes().startswith(b"\x89PNG")


def test_the_metrics_follow_their_schema(first: Any) -> None:
    text = (first.run / "metrics.json").read_text()
    metrics = json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} in metrics.json"))
    assert "null" not in text
    assert metrics["env"] == "grid_trap"
    assert metrics["modality"] == "pdrs"
    assert metrics["seed"] == 0
    assert metrics["replicates"] == 2
    assert metrics["n_samples"] == {"preference": 64, "demonstration": 1, "rating": 64, "stop": 256}
    assert set(metrics["protocol"]) == {"objective", "q", "backup", "termination", "selection", "checkpoint"}
    required = {"normalized_return", "regret", "discounted_value", "epic_distance", "spearman"}
    assert required <= set(metrics["final"])
    for name, values in metrics["final"].items():
        assert len(values) == 2
        assert all(math.isfinite(value) for value in values)
        assert metrics["mean"][name] == pytest.approx(np.mean(values), abs=1e-12)
        assert metrics["stderr"][name] == pytest.approx(np.std(values, ddof=1) / 2**0.5, abs=1e-12)
    assert metrics["objective"] == metrics["mean"]["normalized_return"]
    assert set(metrics["seconds"]) == {"data", "train", "evaluate", "total"}
    assert metrics["config_hash"] == first.run.name
    assert metrics["version"] == mavrl.__version__


def test_the_curves_have_a_row_an_epoch_with_every_term(first: Any) -> None:
    rows = list(csv.DictReader((first.run / "metrics.csv").open()))
    assert [row["epoch"] for row in rows] == ["0", "1", "2"]
    assert [row["step"] for row in rows] == ["1", "3", "5"]
    for kind in ("preference", "demonstration", "rating", "stop"):
        assert all(float(row[f"train/{kind}/log_likelihood"]) < 0 for row in rows)
    for row in rows:
        likelihoods = sum(float(value) for name, value in row.items() if name.endswith("log_likelihood"))
        assert float(row["train/loss"]) == pytest.approx(float(row["train/kl"]) - likelihoods, rel=1e-4)


def test_the_reward_model_loads(first: Any) -> None:
    model = mavrl.load_reward_model(first.run)
    assert len(model) == 2
    states = np.arange(16)
    assert model.mean(states, states * 0, states).shape == (2, 16)
    assert (model.std(states, states * 0, states) > 0).all()


def test_a_finished_run_is_returned_at_once_without_torch(first: Any, app: Any, snapshot: Any) -> None:
    before = snapshot(first.run)
    again = app("paths.cache=null", process=True, python=("-X", "importtime"))
    assert again.status == 0
    assert again.run == first.run
    assert "finished before" in again.out
    imported = {line.rpartition("|")[2].strip() for line in again.err.splitlines()}
    assert "hydra" in imported
    assert not imported & {"torch", "lightning", "matplotlib", "scipy", "gymnasium"}
    assert snapshot(first.run) == before


def test_the_same_command_elsewhere_gives_the_same_result_through_a_filled_cache(first: Any, app: Any) -> None:
    filled = app("task=data", "feedback.rating.gen_samples=90")
    assert filled.status == 0, filled.err
    assert "train rating: 90 samples" in filled.out
    assert not list((app.directory / "runs").rglob("*data*"))
    entries = {path: path.stat().st_mtime_ns for path in (app.directory / "cache").rglob("*.safetensors")}
    assert len(entries) == 8  # four kinds, two replicates
    trained = app("paths.runs=elsewhere")
    assert trained.status == 0, trained.err
    assert trained.run != first.run
    assert trained.metrics["final"] == first.metrics["final"]
    assert {path: path.stat().st_mtime_ns for path in (app.directory / "cache").rglob("*.safetensors")} == entries


def test_evaluation_reproduces_what_is_stored_and_writes_nothing(first: Any, app: Any, snapshot: Any) -> None:
    before = snapshot(app.directory)
    outcome = app("task=evaluate", f"run_dir={first.run}", tiny=False)
    assert outcome.status == 0, outcome.err
    assert "as stored" in outcome.out
    assert "differs" not in outcome.out
    assert snapshot(app.directory) == before


@pytest.mark.parametrize(
    "override",
    ["seed=5", "modality=p", "env.size=5", "model.hidden_sizes=[3]", "evaluation.episodes=7", "dry_run=true"],
)
def test_evaluation_ignores_nothing_on_the_command_line(first: Any, app: Any, override: str) -> None:
    outcome = app("task=evaluate", f"run_dir={first.run}", override)
    assert outcome.status == 2, outcome.out
    (line,) = outcome.err.splitlines()
    assert line.startswith(f"error: {override}: the run has {override.partition('=')[0]}=")


def test_evaluation_may_be_told_again_what_the_run_is(first: Any, app: Any) -> None:
    outcome = app("task=evaluate", f"run_dir={first.run}", "modality=pdrs", "optim.lr=1e-2", "paths.runs=elsewhere")
    assert outcome.status == 0, outcome.err
    assert "as stored" in outcome.out


def test_rerun_repeats_with_the_same_result(first: Any, app: Any) -> None:
    before, started = first.metrics, read_json(first.run / "status.json")["pid"]
    again = app("paths.cache=null", "rerun=true")
    assert again.status == 0, again.err
    assert again.run == first.run
    assert read_json(first.run / "status.json")["pid"] != started
    for name in ("final", "mean", "stderr", "objective"):
        assert again.metrics[name] == before[name]


def test_replicate_k_is_the_single_run_of_seed_s_plus_k(first: Any, app: Any) -> None:
    single = app("seed=1", "replicates=1")
    assert single.status == 0, single.err
    assert single.metrics["stderr"] == {}
    for name, (value,) in single.metrics["final"].items():
        assert value == pytest.approx(first.metrics["final"][name][1], abs=1e-2), name


def test_two_identical_commands_at_once(fresh_app: Any) -> None:
    processes = [fresh_app.start("modality=p") for _ in range(2)]
    one, two = [fresh_app.finish(process) for process in processes]
    assert (one.status, two.status) == (0, 0), one.err + two.err
    assert one.run == two.run
    outputs = one.out + two.out
    assert "another process is at work" in outputs or "finished" in outputs
    assert len(list(csv.DictReader((one.run / "metrics.csv").open()))) == 3
    assert read_json(one.run / "status.json")["state"] == "completed"
    assert not list(Path(one.run).rglob("*.tmp"))
