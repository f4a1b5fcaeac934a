"""A scheduler's signal waits until a run can be resumed."""

import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning import Callback, Trainer
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.pytorch.demos.boring_classes import BoringModel

from mavrl.interruption import Interruption, interruptible
from mavrl.storage.checkpoints import Checkpoints
from mavrl.training import callbacks
from mavrl.training.callbacks import KeptTermination, TimedCheckpoint
from mavrl.training.preemption import PostponedPreemption


@pytest.fixture
def caught() -> Iterator[list[int]]:
    """The signals that reached a scheduler's handler."""
    signals: list[int] = []
    before = signal.signal(signal.SIGUSR2, lambda number, frame: signals.append(number))
    yield signals
    signal.signal(signal.SIGUSR2, before)


class TestPostponedPreemption:
    def test_keeps_the_signal_until_it_is_delivered(self, caught: list[int]):
        preemption = PostponedPreemption()
        preemption.postpone()
        assert preemption.waiting == 0
        signal.raise_signal(signal.SIGUSR2)
        signal.raise_signal(signal.SIGUSR2)
        time.sleep(0.01)
        assert preemption.waiting >= 0.01
        assert caught == []
        preemption.deliver()
        assert caught == [signal.SIGUSR2]
        signal.raise_signal(signal.SIGUSR2)
        assert len(caught) == 2

    def test_delivers_nothing_that_has_not_come(self, caught: list[int]):
        preemption = PostponedPreemption()
        preemption.postpone()
        preemption.deliver()
        assert caught == []

    def test_dismissed_forgets(self, caught: list[int]):
        preemption = PostponedPreemption()
        preemption.postpone()
        signal.raise_signal(signal.SIGUSR2)
        preemption.dismiss()
        preemption.deliver()
        assert (caught, preemption.waiting) == ([], 0)
        signal.raise_signal(signal.SIGUSR2)
        assert len(caught) == 1

    @pytest.mark.parametrize("default", [signal.SIG_DFL, signal.SIG_IGN])
    def test_leaves_the_signal_alone_where_nothing_handles_it(self, default: Any):
        before = signal.signal(signal.SIGUSR2, default)
        try:
            PostponedPreemption().postpone()
            assert signal.getsignal(signal.SIGUSR2) == default
        finally:
            signal.signal(signal.SIGUSR2, before)

    @pytest.mark.usefixtures("caught")
    def test_does_nothing_outside_the_main_thread(self):
        before = signal.getsignal(signal.SIGUSR2)
        thread = threading.Thread(target=PostponedPreemption().postpone)
        thread.start()
        thread.join()
        assert signal.getsignal(signal.SIGUSR2) is before


class _Signalled(Callback):
    """Sends a signal after a step."""

    def __init__(self, step: int, number: int = signal.SIGUSR2) -> None:
        self.step, self.number = step, number

    def on_train_batch_end(self, trainer: Trainer, *_: Any) -> None:
        if trainer.global_step == self.step:
            signal.raise_signal(self.number)


@pytest.fixture
def leaving() -> Iterator[None]:
    """A scheduler's handler that ends the process."""
    before = signal.signal(signal.SIGUSR2, lambda number, frame: sys.exit(-1))
    yield
    signal.signal(signal.SIGUSR2, before)


def _trainer(directory: Path, preempted_after: int) -> Trainer:
    checkpoint = TimedCheckpoint(Checkpoints(directory), seconds=1000)
    return Trainer(
        max_epochs=4, limit_train_batches=5, limit_val_batches=0, logger=False, enable_progress_bar=False,
        enable_model_summary=False, accelerator="cpu", plugins=[LightningEnvironment()],
        callbacks=[_Signalled(preempted_after), checkpoint],
    )  # fmt: skip


@pytest.mark.usefixtures("leaving")
@pytest.mark.filterwarnings("ignore")
class TestTraining:
    def test_saves_at_the_end_of_the_epoch_and_leaves(self, tmp_path: Path):
        trainer = _trainer(tmp_path, preempted_after=7)
        with pytest.raises(SystemExit):
            trainer.fit(BoringModel())
        assert trainer.global_step == 10
        (saved,) = tmp_path.iterdir()
        assert torch.load(saved, weights_only=False)["global_step"] == 10

    def test_leaves_after_a_step_where_the_epoch_is_long(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setattr(callbacks, "_LONGEST_WAIT", 0.0)
        trainer = _trainer(tmp_path, preempted_after=7)
        with pytest.raises(SystemExit):
            trainer.fit(BoringModel())
        assert trainer.global_step == 7
        assert list(tmp_path.iterdir()) == []

    def test_without_a_signal_nothing_happens(self, tmp_path: Path):
        before = signal.getsignal(signal.SIGUSR2)
        trainer = _trainer(tmp_path, preempted_after=100)
        trainer.fit(BoringModel())
        assert trainer.global_step == 20
        assert signal.getsignal(signal.SIGUSR2) is before
        assert list(tmp_path.iterdir()) == []


@pytest.mark.filterwarnings("ignore")
class TestTermination:
    def _trainer(self, directory: Path, number: int) -> Trainer:
        return Trainer(
            max_epochs=4, limit_train_batches=5, limit_val_batches=0, logger=False, enable_progress_bar=False,
            enable_model_summary=False, accelerator="cpu", plugins=[LightningEnvironment()],
            callbacks=[_Signalled(7, number), KeptTermination(), TimedCheckpoint(Checkpoints(directory), 1000)],
        )  # fmt: skip

    @pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
    def test_ends_the_training_with_the_status_of_the_signal(self, number: signal.Signals, status: int, tmp_path: Path):
        """Lightning's own handlers end with 0 and 1."""
        with pytest.raises(Interruption) as caught, interruptible():
            self._trainer(tmp_path, number).fit(BoringModel())
        assert caught.value.code == status

    def test_that_a_scheduler_takes_over_does_not_end_it(self, tmp_path: Path):
        """submitit lets SIGTERM pass: SLURM sends it before the signal that it is told to leave by."""
        passed: list[int] = []
        before = signal.signal(signal.SIGTERM, lambda number, frame: passed.append(number))
        try:
            trainer = self._trainer(tmp_path, signal.SIGTERM)
            trainer.fit(BoringModel())
        finally:
            signal.signal(signal.SIGTERM, before)
        assert (trainer.global_step, passed) == (20, [signal.SIGTERM])
