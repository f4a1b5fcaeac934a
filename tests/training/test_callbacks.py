"""The progress bar: one line over the whole training, from where a resumed one goes on."""

from typing import Any
from unittest.mock import Mock

import pytest
import torch
from lightning import LightningModule, Trainer

from mavrl.training.callbacks import TrainingProgress


@pytest.mark.parametrize("first", [0, 3])
def test_one_bar_over_the_whole_training(first: int, capsys: Any) -> None:
    bar = TrainingProgress(True)
    metrics = {"train/loss": torch.tensor(12.5)}
    trainer = Mock(spec=Trainer, max_epochs=5, current_epoch=first, callback_metrics=metrics)
    learner = Mock(spec=LightningModule)
    bar.on_train_start(trainer, learner)
    for _ in range(first, 5):
        bar.on_train_epoch_end(trainer, learner)
    bar.on_fit_end(trainer, learner)
    output = capsys.readouterr()
    begun, ended = (output.err.replace("\n", "\r").strip("\r").split("\r")[at] for at in (0, -1))
    assert f"| {first}/5 " in begun
    assert "| 5/5 " in ended
    assert "loss=12.5" in ended
    assert output.out == ""


def test_it_closes_where_training_never_began() -> None:
    TrainingProgress(True).on_exception(Mock(spec=Trainer), Mock(spec=LightningModule), ValueError())
