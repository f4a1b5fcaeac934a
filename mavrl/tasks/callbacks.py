"""Lightning callbacks: checkpoints by the clock, and training curves that survive a resumption."""

import time
from typing import Any

from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import CSVLogger

from mavrl.results.checkpoints import Checkpoints


class TimedCheckpoint(Callback):
    """Saves at the end of an epoch when the last save is some time ago.

    When a checkpoint is saved does not change the result: all randomness is addressed by seed and step.

    Args:
        checkpoints: where to.
        seconds: least time between two of them.
    """

    def __init__(self, checkpoints: Checkpoints, seconds: float) -> None:
        self._checkpoints = checkpoints
        self._seconds = seconds
        self._last = time.monotonic()

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if time.monotonic() - self._last >= self._seconds:
            self._checkpoints.save(trainer.global_step, trainer.save_checkpoint)
            self._last = time.monotonic()


class TrainingCurves(Callback):
    """Keeps the rows of metrics.csv in the checkpoint, so that a resumed run's file has each row once."""

    def __init__(self) -> None:
        self._rows: list[dict[str, float]] = []

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        for logger in trainer.loggers:
            if isinstance(logger, CSVLogger):
                logger.experiment.metrics = [dict(row) for row in self._rows]

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        metrics = {name: float(value) for name, value in trainer.callback_metrics.items()}
        self._rows.append({**metrics, "epoch": trainer.current_epoch, "step": trainer.global_step - 1})

    def state_dict(self) -> dict[str, Any]:
        return {"rows": self._rows}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._rows = state_dict["rows"]
