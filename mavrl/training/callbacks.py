"""Lightning callbacks: checkpoints by the clock, curves that survive a resumption, signals, and progress.

All are Checkpoints to Lightning, so that it calls them at the end of an epoch after the module has logged its metrics.
"""

import csv
import io
import math
import signal
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint

from mavrl.progress import Count, Wanted, stage
from mavrl.storage.checkpoints import Checkpoints
from mavrl.storage.files import write_text
from mavrl.training.preemption import PostponedPreemption

_LONGEST_WAIT = 20.0  # seconds that a scheduler's signal waits for the end of an epoch


class TimedCheckpoint(Checkpoint):
    """Saves at the end of an epoch when the last save is some time ago, or when a scheduler preempts the run.

    When a checkpoint is saved does not change the result: all randomness is addressed by seed and step. A preemption
    waits for the end of the epoch, or, where that takes long, of a step: then the last checkpoint is what remains.

    Args:
        checkpoints: where to.
        seconds: least time between two of them.
    """

    def __init__(self, checkpoints: Checkpoints, seconds: float) -> None:
        self._checkpoints = checkpoints
        self._seconds = seconds
        self._last = time.monotonic()
        self._preemption = PostponedPreemption()

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._preemption.postpone()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if self._preemption.waiting > _LONGEST_WAIT:
            self._preemption.deliver()

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        preempted = self._preemption.waiting > 0
        if preempted or time.monotonic() - self._last >= self._seconds:
            self._checkpoints.save(trainer.global_step, trainer.save_checkpoint)
            self._last = time.monotonic()
        if preempted:
            self._preemption.deliver()

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._preemption.deliver()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        self._preemption.dismiss()


class KeptTermination(Checkpoint):
    """Leaves SIGTERM to whoever handled it before the training: Lightning's own handler makes a clean end of it."""

    def __init__(self) -> None:
        self._handler = signal.getsignal(signal.SIGTERM)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self._handler is not None and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, self._handler)


class TrainingCurves(Checkpoint):
    """Writes metrics.csv, one row an epoch, and keeps the rows in the checkpoint: a resumed run's file is complete.

    Args:
        path: of the file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._rows: list[dict[str, float]] = []
        self._written = -math.inf

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        metrics = {name: float(value) for name, value in sorted(trainer.callback_metrics.items())}
        self._rows.append({"epoch": trainer.current_epoch, "step": trainer.global_step - 1, **metrics})
        if time.monotonic() - self._written >= 1:
            self._write()

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._write()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        self._write()

    def _write(self) -> None:
        columns = dict.fromkeys(name for row in self._rows for name in row)
        table = io.StringIO()
        writer = csv.DictWriter(table, columns)
        writer.writeheader()
        writer.writerows(self._rows)
        write_text(self._path, table.getvalue())
        self._written = time.monotonic()

    def state_dict(self) -> dict[str, Any]:
        return {"rows": self._rows}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._rows = state_dict["rows"]


class TrainingProgress(Checkpoint):
    """Shows how far the whole training is, with the loss of the last epoch in nats.

    Args:
        wanted: whether and how, as `mavrl.progress` has it.
    """

    def __init__(self, wanted: Wanted) -> None:
        self._wanted = wanted
        self._shown, self._count = ExitStack(), Count()

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        shown = stage(self._wanted, "learning", "epoch", trainer.max_epochs, trainer.current_epoch)
        self._count = self._shown.enter_context(shown)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._count.facts["loss"] = float(trainer.callback_metrics["train/loss"])
        self._count.done += 1

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._shown.close()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        self._shown.close()
