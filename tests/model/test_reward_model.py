"""Reward models on disk, of both kinds."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import mavrl
from mavrl.errors import StorageError
from mavrl.model.action_heads import NumberedHead
from mavrl.model.layers import BatchedMLP, Standardization
from mavrl.model.loading import load_reward_model
from mavrl.model.posterior import StatePosterior, StepPosterior
from mavrl.model.reward_model import RewardModel, save_reward_model
from mavrl.model.step_reward import StepRewardModel
from mavrl.model.tabular_reward import TabularRewardModel
from mavrl.storage import files

KINDS = ["tabular", "steps"]
COMMON = {"hidden_sizes": [5, 4], "replicates": 3, "members": 2, "modality": "pdrs"}
TABULAR = {**COMMON, "kind": "tabular", "n_states": 6}
STEPS = {
    **COMMON,
    "kind": "steps",
    "reward_domain": "sa",
    "n_features": 4,
    "n_actions": 2,
    "reward_at_termination": 0.0,
    "demonstration_rationality": 1.0,
}


@pytest.fixture
def save() -> Callable[[str, Path], RewardModel]:
    """Writes a model of this kind; returns it."""

    def tabular(directory: Path) -> RewardModel:
        posterior = StatePosterior(6, [5, 4], [torch.Generator().manual_seed(k) for k in range(6)])
        tensors = {f"encoder.{name}": tensor for name, tensor in posterior.encoder.state_dict().items()}
        save_reward_model(directory, tensors, TABULAR)
        return TabularRewardModel.from_posterior(posterior, TABULAR)

    def steps(directory: Path) -> RewardModel:
        streams = [torch.Generator().manual_seed(k) for k in range(6)]
        posterior = StepPosterior(4, NumberedHead(2), "sa", [5, 4], streams, Standardization.identity(6, 4))
        model = StepRewardModel(posterior, BatchedMLP(4, [5, 4], 2, streams), (torch.zeros(6), torch.ones(6)), STEPS)
        save_reward_model(directory, model.tensors(), STEPS)
        return model

    return lambda kind, directory: tabular(directory) if kind == "tabular" else steps(directory)


def _question(kind: str) -> tuple[Any, Any, Any]:
    """Five transitions."""
    state = np.arange(5) if kind == "tabular" else np.linspace(-1, 1, 20).reshape(5, 4)
    return state, np.array([0, 1, 0, 1, 1]), state


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_directory_or_the_directory_in_it(kind: str, save: Any, tmp_path: Path) -> None:
    saved = save(kind, tmp_path / "run" / "reward_model")
    for path in (tmp_path / "run", tmp_path / "run" / "reward_model", str(tmp_path / "run")):
        loaded = mavrl.load_reward_model(path)
        assert type(loaded) is type(saved)
        assert loaded.description == saved.description
        assert np.array_equal(loaded.mean(*_question(kind)), saved.mean(*_question(kind)))


@pytest.mark.parametrize("kind", KINDS)
def test_a_class_loads_its_own_kind_alone(kind: str, save: Any, tmp_path: Path) -> None:
    saved = save(kind, tmp_path / "reward_model")
    other = StepRewardModel if kind == "tabular" else TabularRewardModel
    loaded = type(saved).load(tmp_path)
    assert type(loaded) is type(saved)
    assert np.array_equal(loaded.mean(*_question(kind)), saved.mean(*_question(kind)))
    with pytest.raises(StorageError, match=f"kind {kind}, needed is {other.kind}"):
        other.load(tmp_path)


def test_one_name_for_users() -> None:
    assert mavrl.load_reward_model is load_reward_model


def _cut(content: bytes) -> bytes:
    return content[:-10]


def _flip(content: bytes) -> bytes:
    return content[:-5] + bytes([content[-5] ^ 1]) + content[-4:]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("damage", [_cut, _flip, lambda _: b"", lambda c: b"\x00" * len(c), lambda c: c[:3]])
def test_damaged_weights_are_a_storage_error(kind: str, damage: Any, save: Any, tmp_path: Path) -> None:
    save(kind, tmp_path)
    weights = tmp_path / "weights.safetensors"
    weights.write_bytes(damage(weights.read_bytes()))
    with pytest.raises(StorageError, match=r"weights\.safetensors"):
        load_reward_model(tmp_path)


@pytest.mark.parametrize("kind", KINDS)
def test_missing_files_are_a_storage_error(kind: str, save: Any, tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="no reward model"):
        load_reward_model(tmp_path)
    save(kind, tmp_path)
    (tmp_path / "weights.safetensors").unlink()
    with pytest.raises(StorageError, match=r"weights\.safetensors"):
        load_reward_model(tmp_path)


@pytest.mark.parametrize("content", ["{", "", "[]", "3", "null", '"tabular"'])
def test_a_damaged_description_is_a_storage_error(content: str, save: Any, tmp_path: Path) -> None:
    save("tabular", tmp_path)
    (tmp_path / "description.json").write_text(content)
    with pytest.raises(StorageError, match="no reward model"):
        load_reward_model(tmp_path)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "change", [{"hidden_sizes": [5, 5]}, {"replicates": 2}, {"members": 1}, {"kind": "tables"}, {"kind": None}]
)
def test_weights_that_do_not_fit_the_description_are_refused(
    kind: str, change: dict[str, Any], save: Any, tmp_path: Path
) -> None:
    description = {**save(kind, tmp_path).description, **change}
    if kind == "steps" and "kind" in change:
        description["kind"] = "tabular"
    files.write_json(tmp_path / "description.json", description)
    with pytest.raises(StorageError):
        load_reward_model(tmp_path)


@pytest.mark.parametrize("missing", ["encoder.layers.0.weight", "standardization.mean", "feedback.std", "q"])
def test_missing_weights_are_refused(missing: str, save: Any, tmp_path: Path) -> None:
    tensors = save("steps", tmp_path).tensors()
    left = {name: t for name, t in tensors.items() if name != missing and not name.startswith(f"{missing}.layers.0.b")}
    assert len(left) == len(tensors) - 1
    save_reward_model(tmp_path, left, STEPS)
    with pytest.raises(StorageError, match=r"weights\.safetensors"):
        load_reward_model(tmp_path)


def test_weights_may_be_views_with_a_gradient(tmp_path: Path) -> None:
    whole = torch.arange(12.0, requires_grad=True).view(3, 4)
    save_reward_model(tmp_path, {"a": whole.T, "b": whole[:, 1]}, {})
    stored = load_file(tmp_path / "weights.safetensors")
    assert stored["a"].equal(whole.detach().T)
    assert stored["b"].tolist() == [1.0, 5.0, 9.0]


def test_a_model_of_an_earlier_version_without_a_checksum_is_warned_of(
    save: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    description = save("tabular", tmp_path).description
    files.write_json(tmp_path / "description.json", description)
    assert len(load_reward_model(tmp_path)) == description["replicates"]
    assert "its description has no checksum" in caplog.text


@pytest.mark.parametrize("kind", ["tabular", "steps"])
def test_a_saved_model_is_the_same_as_a_whole_and_alone(kind: str, save: Any, tmp_path: Path) -> None:
    save(kind, tmp_path / "first")
    model = load_reward_model(tmp_path / "first")
    model.save(tmp_path / "second")
    again = load_reward_model(tmp_path / "second")
    assert again.description == model.description
    steps = ([[0.5] * 4], [1], [[0.1] * 4]) if kind == "steps" else ([2], [1], [3])
    state, action, following = (np.asarray(x, dtype=np.float32 if np.ndim(x) > 1 else np.int64) for x in steps)
    for name in ("mean", "std", "sample"):
        assert np.array_equal(
            getattr(model, name)(state, action, following), getattr(again, name)(state, action, following)
        )
    model[1].save(tmp_path / "alone")
    alone = load_reward_model(tmp_path / "alone")
    assert len(alone) == 1
    assert np.array_equal(alone.mean(state, action, following)[0], model.mean(state, action, following)[1])
    assert model.metrics == {}


def test_a_model_without_weights_is_not_saved(tmp_path: Path) -> None:
    moments = torch.zeros(1, 1, 3)
    with pytest.raises(ValueError, match="no weights"):
        TabularRewardModel(moments, moments, {"replicates": 1}).save(tmp_path)
