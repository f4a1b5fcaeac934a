"""A run on a feedback folder is judged by held-out labels, the same after every interruption."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from omegaconf import DictConfig

from mavrl.configuration.settings import RunSettings
from mavrl.families.base import Family, family_of
from mavrl.feedback.combined import CombinedDataModule
from mavrl.feedback.recording import record
from mavrl.folder.digest import digest
from mavrl.folder.folder import FeedbackFolder
from mavrl.training import folds
from mavrl.training.building import build_data
from mavrl.training.callbacks import TrainingCurves
from mavrl.workers import Workers

COUNTS = {"preference": 12, "demonstration": 3, "rating": 11, "stop": 10}
WORDS = (
    "env.size=4", "paths.cache=null", "trainer.max_epochs=3", "trainer.passes_per_epoch=1", "trainer.least_steps=2",
    "members=2", *(f"feedback.{kind}.n_samples={count}" for kind, count in COUNTS.items()),
)  # fmt: skip
Made = tuple[RunSettings, Family, CombinedDataModule]


@pytest.fixture(scope="module")
def made(composed: Callable[..., DictConfig], tmp_path_factory: pytest.TempPathFactory) -> Made:
    """A folder of simulated labels, and what a run on it is made of."""
    settings = replace(RunSettings.from_config(composed("env=grid_trap", *WORDS)), replicates=1)
    family = family_of(settings, Workers(1))
    path = tmp_path_factory.mktemp("labels") / "folder"
    record(build_data(settings, family).modules, lambda told: FeedbackFolder.create(path, *family.spaces, told=told))
    execution = replace(settings.execution, folder=str(path), checkpoint_seconds=0.0)
    settings = replace(settings, data=digest(path), folds=3, execution=execution)
    family = family_of(settings, Workers(1))
    data = build_data(settings, family)
    data.setup()
    return settings, family, data


@pytest.mark.filterwarnings("ignore")
def test_every_label_is_scored_once_and_the_result_is_kept(made: Made, tmp_path: Path) -> None:
    found = folds.judge_held_out(*made, tmp_path)
    assert found["folds"] == 3
    steps = int(made[2].train_sets["demonstration"].transitions.valid.sum())
    labels = {kind: each["labels"] for kind, each in found["kinds"].items()}
    assert labels == {**COUNTS, "demonstration": steps}  # a demonstration has a label in every step
    assert found["kinds"]["demonstration"]["episodes"] == 3
    assert {path.name for path in (tmp_path / "folds").iterdir()} == {"held_out.json"}
    assert json.loads((tmp_path / "folds" / "held_out.json").read_text()) == found
    json.dumps(found, allow_nan=False)


@pytest.mark.filterwarnings("ignore")
def test_models_are_trained_on_what_is_not_held_out(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: dict[str, Any] = {}

    def watch(settings: RunSettings, learner: Any, data: CombinedDataModule, *rest: Any) -> None:
        seen["sizes"] = {kind: module.sets["train"].valid_samples.sum(-1) for kind, module in data.modules.items()}
        seen["seeds"] = settings.seeds

    monkeypatch.setattr(folds, "fit", watch)
    tested: dict[str, Any] = {}
    whole = folds.folds_by_episode

    def divided(*arguments: Any) -> Any:
        tested["folds"] = whole(*arguments)
        return tested["folds"]

    monkeypatch.setattr(folds, "folds_by_episode", divided)
    folds.judge_held_out(*made, tmp_path)
    assert seen["seeds"] == [0, 1, 2]
    for kind in ("preference", "rating", "stop"):
        assert seen["sizes"][kind].equal(tested["folds"].trained[kind].sum(-1))
    steps = made[2].train_sets["demonstration"].transitions.valid.sum()
    assert seen["sizes"]["demonstration"].sum() == 2 * steps  # each episode is trained on in two of three folds


@pytest.mark.filterwarnings("ignore")
def test_an_interrupted_fit_goes_on_and_a_finished_one_is_not_repeated(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    undisturbed = folds.judge_held_out(*made, tmp_path / "whole")

    write_row = TrainingCurves.on_train_epoch_end

    def killed(self: TrainingCurves, trainer: Any, learner: Any) -> None:
        if trainer.current_epoch == 2:
            raise KeyboardInterrupt
        write_row(self, trainer, learner)

    with monkeypatch.context() as patch:
        patch.setattr(TrainingCurves, "on_train_epoch_end", killed)
        with pytest.raises(KeyboardInterrupt):
            folds.judge_held_out(*made, tmp_path / "cut")
    assert list((tmp_path / "cut" / "folds" / "checkpoints").glob("*.ckpt"))
    epochs: list[int] = []

    def counted(self: TrainingCurves, trainer: Any, learner: Any) -> None:
        epochs.append(trainer.current_epoch)
        write_row(self, trainer, learner)

    monkeypatch.setattr(TrainingCurves, "on_train_epoch_end", counted)
    assert folds.judge_held_out(*made, tmp_path / "cut") == undisturbed
    assert epochs == [2]
    assert folds.judge_held_out(*made, tmp_path / "whole") == undisturbed
    assert epochs == [2]


def test_simulated_runs_and_0_folds_hold_nothing_out(made: Made, tmp_path: Path) -> None:
    settings, *rest = made
    assert folds.judge_held_out(replace(settings, folds=0), *rest, tmp_path) == {}
    assert folds.judge_held_out(replace(settings, data=None), *rest, tmp_path) == {}
    assert list(tmp_path.iterdir()) == []


def test_labels_of_one_episode_are_not_held_out(made: Made, tmp_path: Path) -> None:
    settings, family, data = made
    alone = {"demonstration": data.modules["demonstration"]}
    alone["demonstration"].n_samples = 1
    try:
        found = folds.judge_held_out(settings, family, CombinedDataModule(alone), tmp_path)
    finally:
        alone["demonstration"].n_samples = COUNTS["demonstration"]
    assert found == {"left_out": "all labels are about one episode; two are needed"}
