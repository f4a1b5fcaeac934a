"""One run is one function, with or without Hydra."""

import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from lightning.fabric.utilities.rank_zero import rank_zero_only

from mavrl.configuration.composition import compose
from mavrl.configuration.settings import (
    Execution,
    ModelSettings,
    OptimizerSettings,
    PriorSettings,
    RunSettings,
    TrainerSettings,
)
from mavrl.model.tabular_reward import TabularRewardModel
from mavrl.training.callbacks import TrainingCurves
from mavrl.training.run import run

SMALL = ("env.size=4", "env.max_steps=50", "replicates=2", "trainer.max_epochs=2", "trainer.passes_per_epoch=2")


def by_hand() -> RunSettings:
    """What SMALL with modality=d says, without a configuration."""
    demonstration = {
        "_target_": "mavrl.feedback.demonstration.DemonstrationDataModule",
        "n_samples": 1, "gen_samples": 0, "teacher_rationality": 10.0, "model_rationality": 10.0,
    }  # fmt: skip
    env = {
        "name": "grid_trap", "family": "grid", "layout": "trap", "size": 4, "p_rand": 0.0, "gamma": 0.95,
        "max_steps": 50, "termination": "success",
    }  # fmt: skip
    return RunSettings(
        seed=0,
        replicates=2,
        members=1,
        selection="last",
        modality="d",
        env=env,
        feedback={"demonstration": demonstration},
        query={"_target_": "mavrl.feedback.queries.RandomQuery"},
        teacher={"_target_": "mavrl.feedback.teachers.SimulatedTeacher"},
        model=ModelSettings(
            objective="elbo", q="planned", reward_domain="s", backup="optimal", soft_temperature=0.1,
            hidden_sizes=[64, 64], prior=PriorSettings(None, 4.0, 0.8), bellman_weight=1.0, kl_weight=0.03,
            importance_weights=False,
        ),
        optim=OptimizerSettings(
            lr=0.01, schedule="cosine", batch_size=None, demonstration_batch_size=None, weight_decay=0.01,
            gradient_clip=1.0,
        ),
        trainer=TrainerSettings(max_epochs=2, passes_per_epoch=2, least_steps=1, validation=False, patience=None),
        policy={"name": "exact"},
        evaluation_episodes=1,
        execution=Execution(),
    )  # fmt: skip


@pytest.mark.filterwarnings("ignore")
def test_ctrl_c_is_ctrl_c_without_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nobody has said what it is to be, such as in a notebook. Lightning exits with status 1."""

    def stop(self: TrainingCurves, *_: Any) -> None:
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(TrainingCurves, "on_train_epoch_end", stop)
    with pytest.raises(KeyboardInterrupt):
        run(by_hand(), tmp_path)
    assert signal.getsignal(signal.SIGINT) == signal.default_int_handler


@pytest.mark.filterwarnings("ignore")
def test_loggers_write_whatever_a_launcher_calls_this_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With SLURM_PROCID=1 Lightning's loggers, imported then, take the run for a second process and are silent."""
    monkeypatch.setattr(rank_zero_only, "rank", 1)
    settings = by_hand()
    logged = replace(settings, execution=replace(settings.execution, logger={"name": "tensorboard"}))
    run(logged, tmp_path)
    assert list((tmp_path / "tensorboard").glob("events*"))


@pytest.mark.filterwarnings("ignore")
def test_settings_made_by_hand_and_composed_give_the_same_run(tmp_path: Path) -> None:
    composed = RunSettings.from_config(compose(*SMALL, "modality=d", "paths.cache=null", "processes=1"))
    told: list[bool] = []
    first = run(composed, tmp_path / "a", begun=lambda: told.append((tmp_path / "a").exists()))
    second = run(by_hand(), tmp_path / "b")
    assert told == [False]
    assert first["final"] == second["final"]
    assert {**first, "seconds": 0} == {**second, "seconds": 0}
    assert first["seconds"].keys() == {"data", "train", "evaluate", "total"}
    assert len(TabularRewardModel.load(tmp_path / "b")) == 2
    assert (tmp_path / "b" / "figures" / "rewards.png").exists()
    assert not (tmp_path / "b" / "checkpoints").exists()
