"""Reward models of a hub: only what is asked for is fetched, nothing is unpickled, and errors are one line."""

import builtins
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import mavrl
from mavrl.errors import ConfigurationError, StorageError
from mavrl.model.hub import is_hub_name
from mavrl.model.posterior import StatePosterior
from mavrl.model.reward_model import RewardModel
from mavrl.model.tabular_reward import TabularRewardModel
from tests.fixtures.runs import metrics_of

huggingface_hub = pytest.importorskip("huggingface_hub")
from huggingface_hub import constants  # noqa: E402

DESCRIPTION = {
    "kind": "tabular", "n_states": 6, "hidden_sizes": [4], "replicates": 2, "members": 1, "seeds": [0, 1],
    "env": {"name": "grid_trap"}, "modality": "pd",
}  # fmt: skip


class Bomb:
    """Unpickled, it goes off."""

    def __reduce__(self) -> tuple[Any, ...]:
        return exec, ("raise SystemExit('unpickled')",)


@pytest.fixture
def model() -> RewardModel:
    streams = [torch.Generator().manual_seed(k) for k in range(2)]
    made = TabularRewardModel.from_posterior(StatePosterior(6, [4], streams), DESCRIPTION)
    made.metrics = metrics_of(
        {"regret": [1.0, 2.0]}, failed_replicates=[1], skipped={"preference": [0, 3]}, rounds=[{"round": 1.0}]
    )
    return made


@pytest.fixture
def cached(model: RewardModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache as the hub's client lays it out, with one repository, and no network."""
    cache = tmp_path / "cache"
    repository = cache / "models--user--trap"
    snapshot = repository / "snapshots" / ("a" * 40)
    model.save(tmp_path / "saved")
    blobs = repository / "blobs"
    for folder in (snapshot, blobs, repository / "refs"):
        folder.mkdir(parents=True)
    for number, path in enumerate(sorted((tmp_path / "saved").iterdir())):
        shutil.copy(path, blobs / str(number))
        (snapshot / path.name).symlink_to(Path("../../blobs") / str(number))
    (repository / "refs/main").write_text("a" * 40)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    return snapshot


def _same(one: RewardModel, other: RewardModel) -> bool:
    states = np.arange(6)
    return np.array_equal(one.mean(states, states, states), other.mean(states, states, states))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("user/name", True), ("Some-One/grid_trap.v1", True), ("runs/a/b", False), ("./name", False), ("name", False),
        ("../name", False), ("/tmp", False), ("user/", False), ("a/b\n", False),
    ],
)  # fmt: skip
def test_names_of_repositories(text: str, expected: bool) -> None:
    assert is_hub_name(text) is expected


@pytest.mark.parametrize("revision", [None, "main", "a" * 40])
def test_a_model_that_was_downloaded_before_needs_no_network(
    revision: str | None, cached: Path, model: RewardModel
) -> None:
    loaded = mavrl.load_reward_model("user/trap", revision)
    assert _same(loaded, model)
    assert loaded.metrics == model.metrics


def test_one_that_was_not_is_one_line(cached: Path) -> None:
    for name, revision in (("user/other", None), ("user/trap", "b" * 40)):
        with pytest.raises(StorageError, match="neither a folder here nor a model of the hub") as raised:
            mavrl.load_reward_model(name, revision)
        assert "\n" not in str(raised.value)
        assert name in str(raised.value)


def test_only_weights_and_descriptions_are_asked_for(
    model: RewardModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: dict[str, Any] = {}

    def fetch(name: str, **more: Any) -> str:
        asked.update(more, name=name)
        model.save(tmp_path / "fetched")
        return str(tmp_path / "fetched")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fetch)
    assert _same(mavrl.load_reward_model("user/trap", "v1"), model)
    assert asked == {
        "name": "user/trap", "revision": "v1", "allow_patterns": ["*.safetensors", "*.json", "README.md"]
    }  # fmt: skip


def test_a_folder_of_that_name_goes_first(model: RewardModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    model.save("user/trap")
    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda *_, **__: pytest.fail("asked the hub"))
    assert _same(mavrl.load_reward_model("user/trap"), model)
    with pytest.raises(ConfigurationError, match=r"revision=v1.*only models of a hub have revisions"):
        mavrl.load_reward_model("user/trap", revision="v1")
    with pytest.raises(StorageError, match="no reward model there"):  # a path is never a repository
        mavrl.load_reward_model(Path("user/other"))
    monkeypatch.undo()


def test_a_pickle_beside_the_weights_is_not_read(model: RewardModel, tmp_path: Path) -> None:
    model.save(tmp_path)
    for name in ("pytorch_model.bin", "model.pkl", "weights.pt"):
        (tmp_path / name).write_bytes(pickle.dumps(Bomb()))
    assert _same(mavrl.load_reward_model(tmp_path), model)
    (tmp_path / "weights.safetensors").write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(StorageError, match=r"weights\.safetensors"):
        mavrl.load_reward_model(tmp_path)


def test_without_the_extra_it_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real: Callable[..., Any] = builtins.__import__

    def without(name: str, *more: Any, **named: Any) -> Any:
        if name.partition(".")[0] == "huggingface_hub":
            raise ImportError(name)
        return real(name, *more, **named)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ConfigurationError, match=r'pip install "mavrl\[hub\]"'):
        mavrl.load_reward_model("user/trap")


def test_what_is_uploaded_is_what_is_saved(model: RewardModel, monkeypatch: pytest.MonkeyPatch) -> None:
    made: dict[str, Any] = {}

    class Hub:
        def __init__(self, **_: Any) -> None: ...

        def create_repo(self, name: str, private: bool, exist_ok: bool) -> str:
            made.update(name=name, private=private)
            return f"https://hub/{name}"

        def upload_folder(self, repo_id: str, folder_path: str, allow_patterns: list[str]) -> None:
            made["files"] = sorted(path.name for path in Path(folder_path).iterdir())

    monkeypatch.setattr(huggingface_hub, "HfApi", Hub)
    assert model.push_to_hub("user/trap") == "https://hub/user/trap"
    files = ["README.md", "description.json", "metrics.json", "weights.safetensors"]
    assert made == {"name": "user/trap", "private": True, "files": files}


def test_the_card_is_one_that_the_hub_reads(model: RewardModel, tmp_path: Path) -> None:
    model.save(tmp_path)
    card = huggingface_hub.ModelCard.load(tmp_path / "README.md")
    assert card.data.library_name == "mavrl"
    assert {"reward-model", "grid_trap"} <= set(card.data.tags)
    (result,) = card.data.eval_results
    assert (result.metric_type, result.metric_value, result.dataset_name) == ("regret", 1.5, "grid_trap")


def test_a_replicate_alone_has_its_own_metrics(model: RewardModel, tmp_path: Path) -> None:
    model[1].save(tmp_path)
    alone = mavrl.load_reward_model(tmp_path)
    assert alone.metrics["final"] == {"regret": [2.0]}
    assert (alone.metrics["mean"], alone.metrics["stderr"]) == ({"regret": 2.0}, {})
    assert (alone.metrics["seed"], alone.metrics["replicates"], alone.metrics["failed_replicates"]) == (1, 1, [0])
    assert alone.metrics["skipped"] == {"preference": [3]}
    assert "rounds" not in alone.metrics


def test_metrics_of_a_run_of_an_earlier_version_are_beside_its_model(model: RewardModel, tmp_path: Path) -> None:
    model.save(tmp_path / "reward_model")
    (tmp_path / "reward_model/metrics.json").rename(tmp_path / "metrics.json")
    for path in (tmp_path, tmp_path / "reward_model"):
        assert mavrl.load_reward_model(path).metrics == model.metrics
