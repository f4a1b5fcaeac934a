"""What docs/extending.md adds from outside works as it stands there, and takes as few files as it says."""

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hydra.core.config_store import ConfigStore

from mavrl.configuration import registry
from mavrl.configuration.check import register_with_hydra
from mavrl.metrics import METRICS
from tests.fixtures.pages import blocks

pytestmark = pytest.mark.integration

FILES = {block.name: block.text for block in blocks("extending.md", "file")}
COMMANDS = {
    block.name: block.text.removeprefix("python run.py ").strip() for block in blocks("extending.md", "command")
}
SMALL = ("replicates=2", "trainer.max_epochs=2", "trainer.passes_per_epoch=2")
SMALL_GRID = (*SMALL, "env.size=4", "env.max_steps=50")


@pytest.fixture(scope="module")
def extended(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A directory with the page's package and its YAML files; what they register is gone afterwards."""
    directory = tmp_path_factory.mktemp("extension")
    for name, text in FILES.items():
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_text(text)
    register_with_hydra()
    tables = (registry.KINDS, registry.FAMILIES, METRICS, ConfigStore.instance().repo["modality"])
    before = [dict(table) for table in tables]
    sys.path.insert(0, str(directory))
    yield directory
    sys.path.remove(str(directory))
    for table, kept in zip(tables, before, strict=True):
        table.clear()
        table.update(kept)
    for name in [name for name in sys.modules if name.partition(".")[0] == "my_extension"]:
        del sys.modules[name]


@pytest.fixture
def run_extended(extended: Path, make_app: Callable[..., Any]) -> Callable[..., Any]:
    def run(*words: str, settings: tuple[str, ...] = SMALL_GRID) -> Any:
        outcome = make_app(extended, settings)(*words, MAVRL_PLUGINS="my_extension")
        assert outcome.status == 0, outcome.err
        return outcome

    return run


def files_about(word: str) -> list[str]:
    """The page's files that an extension consists of, besides the one that registers it."""
    return [name for name in FILES if word in name]


def answers(directory: Path, kind: str) -> list[Path]:
    return sorted((directory / "cache" / kind).glob("*"))


def test_a_kind_of_feedback_is_one_file_one_yaml_one_registration_and_one_word(
    run_extended: Any, extended: Path
) -> None:
    found = run_extended(*COMMANDS["kind"].split()).metrics
    assert found["modality"] == "pa"
    assert found["n_samples"]["approval"] == 64
    assert len(answers(extended, "approval")) == 2
    rows = (extended / "runs" / "grid_trap" / "pa").glob("*/metrics.csv")
    assert "train/approval/log_likelihood" in next(rows).read_text().splitlines()[0]
    assert [name for name in FILES if "approval" in name] == [
        "my_extension/approval.py",
        "my_conf/feedback/approval.yaml",
    ]
    assert FILES["my_extension/__init__.py"].count("Kind(") == 1


def test_its_keys_have_rules(extended: Path, make_app: Any) -> None:
    words = (*COMMANDS["kind"].split(), "feedback.approval.rationality=-1")
    refused = make_app(extended, SMALL_GRID)(*words, MAVRL_PLUGINS="my_extension")
    assert refused.status == 2
    assert refused.err == "error: feedback.approval.rationality=-1: must be a number in [0, infinity)\n"
    alone = make_app(extended, SMALL_GRID)("modality=pa", MAVRL_PLUGINS="my_extension")
    assert alone.status == 2
    assert "add +feedback@feedback.approval=approval" in alone.err


def test_it_is_run_again_from_what_the_run_has_recorded(run_extended: Any, extended: Path, make_app: Any) -> None:
    first = run_extended(*COMMANDS["kind"].split(), "seed=3")
    (first.run / "status.json").write_text(json.dumps({**json.loads((first.run / "status.json").read_text()),
                                                       "state": "failed"}))  # fmt: skip
    again = make_app(extended, ())("task=retry", "seed=3", "--config-dir", "my_conf", MAVRL_PLUGINS="my_extension")
    assert again.status == 0, again.err
    assert json.loads((first.run / "status.json").read_text())["state"] == "completed"


def test_a_query_rule_is_one_class_and_one_yaml(run_extended: Any, extended: Path) -> None:
    plain = run_extended("modality=r")
    asked = run_extended(*COMMANDS["query"].split(), "modality=r")
    assert asked.run != plain.run
    config = json.loads((asked.run / "config.json").read_text())
    assert config["query"] == {"_target_": "my_extension.eventful.EventfulQuery", "candidates": 4}
    assert asked.metrics["final"] != plain.metrics["final"]
    assert files_about("eventful") == ["my_extension/eventful.py", "my_conf/query/eventful.yaml"]


def test_a_teacher_is_one_class_and_one_yaml(run_extended: Any, extended: Path) -> None:
    from safetensors.numpy import load

    labels = [k % 3 == 0 for k in range(64)]
    (extended / "preferences.json").write_text(json.dumps(labels))
    before = set(answers(extended, "preference"))
    run_extended(*COMMANDS["teacher"].split())
    kept = [load(path.read_bytes()[32:]) for path in set(answers(extended, "preference")) - before]
    assert [entry["batch.first_preferred"].tolist() for entry in kept] == [labels, labels]
    assert [name for name in FILES if "notebook" in name] == [
        "my_extension/notebook.py",
        "my_conf/teacher/notebook.yaml",
    ]


def test_a_metric_is_one_entry_with_its_function(run_extended: Any, extended: Path) -> None:
    found = run_extended("modality=d")
    assert len(found.metrics["final"]["largest_error"]) == 2
    assert "largest error of a state" in found.out
    best = run_extended("task=select_best", "task.metric=largest_error", settings=())
    assert best.out.startswith("lowest largest_error")
    assert files_about("largest_error") == ["my_extension/largest_error.py"]
    assert FILES["my_extension/__init__.py"].count("Metric(") == 1


def test_a_family_is_its_own_files_and_one_registration(run_extended: Any, extended: Path) -> None:
    found = run_extended(*COMMANDS["family"].split(), settings=SMALL)
    assert found.metrics["env"] == "ring"
    assert {"normalized_return", "epic_distance", "coverage_90"} <= found.metrics["final"].keys()
    assert (found.run / "figures" / "ring.png").exists()
    assert files_about("ring") == ["my_extension/ring.py", "my_extension/ring_rules.py", "my_conf/env/ring.yaml"]
    assert FILES["my_extension/__init__.py"].count("FamilyEntry(") == 1


def test_workers_know_what_is_added(extended: Path, make_app: Any) -> None:
    words = ("-m", *COMMANDS["family"].split(), "env.n_states=5,6", "modality=pd", "hydra/launcher=local")
    variables = {"MAVRL_PLUGINS": "my_extension", "PYTHONPATH": str(extended)}
    swept = make_app(extended, SMALL)(*words, process=True, **variables)
    assert swept.status == 0, swept.err
    assert swept.out.splitlines()[-1] == "finished: 2 runs"


def test_what_is_not_declared_is_not_run(extended: Path, make_app: Any) -> None:
    """A class of a package that nobody has named is refused."""
    refused = make_app(extended, SMALL_GRID)("--config-dir", "my_conf", "query=eventful", "modality=r", "seed=9")
    assert refused.status != 0
    assert not list((extended / "runs").glob("*/*/*/metrics.json.tmp"))
    assert "eventful" in refused.err
