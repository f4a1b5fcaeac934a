"""TensorBoard and Weights & Biases, read back."""

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.integration


def _records(path: Path) -> Iterator[bytes]:
    """The records of a .wandb file: a LevelDB log behind a header of 7 bytes, in blocks of 32 KiB."""
    content = path.read_bytes()
    assert content[:4] == b":W&B"
    position, parts = 7, b""
    while position + 7 <= len(content):
        left = 32768 - position % 32768
        if left < 7:
            position += left
            continue
        _, length, kind = struct.unpack("<IHB", content[position : position + 7])
        parts += content[position + 7 : position + 7 + length]
        position += 7 + length
        if kind in (1, 4):  # a whole record, or the last part of one
            yield parts
            parts = b""


def _history(path: Path) -> tuple[list[dict[str, float]], set[str]]:
    """What a run logged, and the kinds of records in its file."""
    from wandb.proto import wandb_internal_pb2

    rows, kinds = [], set()
    for content in _records(path):
        record = wandb_internal_pb2.Record()
        record.ParseFromString(content)
        kinds.add(record.WhichOneof("record_type"))
        if record.WhichOneof("record_type") == "history":
            items = {"/".join(item.nested_key) or item.key: item.value_json for item in record.history.item}
            rows.append({name: float(value) for name, value in items.items() if value.strip('"') == value})
    return rows, kinds


@pytest.fixture(scope="module")
def multirun(app: Any) -> Any:
    outcome = app("-m", "modality=p,r", "logger=wandb", process=True)
    assert outcome.status == 0, outcome.err
    return outcome


def test_a_multirun_runs_every_job(multirun: Any, app: Any) -> None:
    runs = sorted(app.directory.glob("runs/grid_trap/*/*/metrics.json"))
    assert [path.parts[-3] for path in runs] == ["p", "r"]
    assert all(str(run.parent) in multirun.out for run in runs)


def test_wandb_without_network_is_quiet(multirun: Any) -> None:
    assert multirun.err == ""
    assert "wandb" not in multirun.out


def test_wandb_files_are_in_the_run_directory(multirun: Any, app: Any) -> None:
    folders = {path.name for path in app.directory.iterdir()}
    assert folders <= {"runs", "cache"}
    assert len(list(app.directory.glob("runs/*/*/*/wandb"))) == 2


def test_each_job_has_a_wandb_run_of_its_own_with_its_curves(multirun: Any, app: Any) -> None:
    files = sorted(path for path in app.directory.rglob("*.wandb") if "latest-run" not in path.parts)
    assert len(files) == 2
    assert len({path.name for path in files}) == 2
    for path, kind, other in zip(files, ("preference", "rating"), ("rating", "preference"), strict=True):
        rows, kinds = _history(path)
        losses = [row["train/loss"] for row in rows if "train/loss" in row]
        curves = (path.parents[2] / "metrics.csv").read_text().splitlines()
        column = curves[0].split(",").index("train/loss")
        assert losses == pytest.approx([float(line.split(",")[column]) for line in curves[1:]], rel=1e-5)
        names = {name for row in rows for name in row}
        assert f"train/{kind}/log_likelihood" in names
        assert f"train/{other}/log_likelihood" not in names
        assert "exit" in kinds  # closed, not cut off
        (run_id,) = (path.parents[2] / "wandb_id").read_text().split()
        assert path.name == f"run-{run_id}.wandb"


def test_wandb_gets_the_final_metrics_and_the_picture(multirun: Any, app: Any) -> None:
    from wandb.proto import wandb_internal_pb2

    path = next(path for path in sorted(app.directory.rglob("*.wandb")) if "latest-run" not in path.parts)
    directory = path.parents[2]
    metrics = json.loads((directory / "metrics.json").read_text())
    summary, config, name, artifacts = {}, {}, "", {}
    for content in _records(path):
        record = wandb_internal_pb2.Record()
        record.ParseFromString(content)
        for item in record.summary.update:
            summary["/".join(item.nested_key) or item.key] = json.loads(item.value_json)
        for item in record.run.config.update:
            config[item.key] = json.loads(item.value_json)
        name = record.run.display_name or name
        if record.WhichOneof("record_type") == "run":
            started = record.run
        if record.WhichOneof("record_type") == "artifact":
            artifacts[record.artifact.type] = record.artifact
    assert summary["final/epic_distance"] == pytest.approx(metrics["mean"]["epic_distance"])
    assert summary["final/epic_distance_stderr"] == pytest.approx(metrics["stderr"]["epic_distance"])
    assert len(list(directory.glob("wandb/offline-run-*/files/media/images/evaluation/rewards_*.png"))) == 1
    assert config["config_hash"] == metrics["config_hash"]
    assert Path(config["run_directory"]) == directory
    assert "trial" not in config
    assert name == "grid_trap-p-0"
    (sweep,) = app.directory.glob("runs/.sweeps/*.json")
    assert (started.run_group, started.job_type) == (f"sweep {sweep.stem}", "train")
    assert {"grid_trap", "p", "objective=elbo", "q=planned"} <= set(started.tags)
    model = artifacts["reward-model"]
    assert model.description.startswith("# Reward model")
    assert json.loads(model.metadata)["metrics"]["mean"] == pytest.approx(metrics["mean"])
    assert {Path(each.local_path).parent for each in model.manifest.contents} == {directory / "reward_model"}
    assert {each.path for each in model.manifest.contents} == {
        "README.md", "description.json", "metrics.json", "weights.safetensors"
    }  # fmt: skip
    staged = [Path(each.local_path) for each in artifacts["run_table"].manifest.contents]
    assert all(path.is_relative_to(directory) for path in staged)


def test_wandb_that_cannot_start_fails_no_run(fresh_app: Any) -> None:
    outcome = fresh_app("modality=p", "logger=wandb", process=True, WANDB_MODE="nonsense")
    assert outcome.status == 0, outcome.err
    assert "wandb" in outcome.err
    assert "Traceback" not in outcome.err


def test_tensorboard_writes_the_curves(fresh_app: Any) -> None:
    outcome = fresh_app("modality=p", "logger=tensorboard")
    assert outcome.status == 0, outcome.err
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(outcome.run / "tensorboard"))
    events.Reload()
    losses = [event.value for event in events.Scalars("train/loss")]
    curves = (outcome.run / "metrics.csv").read_text().splitlines()
    column = curves[0].split(",").index("train/loss")
    assert losses == pytest.approx([float(line.split(",")[column]) for line in curves[1:]], rel=1e-5)
    assert "train/preference/log_likelihood" in events.Tags()["scalars"]
    (final,) = events.Scalars("final/epic_distance")
    assert final.value == pytest.approx(outcome.metrics["mean"]["epic_distance"])
    assert "evaluation/rewards" in events.Tags()["images"]
    texts = {
        name: events.Tensors(name)[0].tensor_proto.string_val[0].decode()
        for name in events.Tags()["tensors"]
        if name.endswith("/text_summary")
    }
    assert "| EPIC distance |" in texts["evaluation/metrics/text_summary"]
    assert texts["reward_model/card/text_summary"].startswith("# Reward model of grid_trap")
    assert events.SummaryMetadata("_hparams_/session_start_info").plugin_data.plugin_name == "hparams"
    (run,) = events.Tensors("run/text_summary")
    assert outcome.metrics["config_hash"] in run.tensor_proto.string_val[0].decode()


def test_other_tasks_log_beside_the_run_that_they_are_about(fresh_app: Any) -> None:
    run = fresh_app("modality=p").run
    for words, place in ((["task=transfer", "env.p_rand=0.2"], "transfer/p_rand=0.2"), (["task=evaluate"], "evaluate")):
        outcome = fresh_app(*words, f"run_dir={run}", "logger=tensorboard", tiny=False)
        assert outcome.status == 0, outcome.err
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

        events = EventAccumulator(str(run / place / "tensorboard"))
        events.Reload()
        assert "final/normalized_return" in events.Tags()["scalars"]
