"""Training with Lightning: loggers, progress, checkpoints and resumption around one learner."""

import logging
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from lightning import Callback, Trainer
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.pytorch.loggers import Logger

from mavrl.configuration.settings import Device, RunSettings
from mavrl.errors import ConfigurationError
from mavrl.families.base import Family
from mavrl.feedback.combined import CombinedDataModule
from mavrl.model.learner import RewardLearner
from mavrl.model.reward_model import save_reward_model
from mavrl.secrets import masked
from mavrl.storage.checkpoints import Checkpoints
from mavrl.training.annotators import described_annotators, described_rationality
from mavrl.training.callbacks import KeptTermination, TimedCheckpoint, TrainingCurves, TrainingProgress


def fit(
    settings: RunSettings,
    learner: RewardLearner,
    data: CombinedDataModule,
    checkpoints: Checkpoints,
    directory: Path,
    loggers: Sequence[Logger] = (),
) -> None:
    """Train to the end, from the newest checkpoint if there is one. With no epochs the first weights are the last.

    Args:
        directory: of the run, for curves.
        loggers: that get the curves, too.
    """
    if settings.trainer.max_epochs == 0:
        return
    execution = settings.execution
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    callbacks: list[Callback] = [
        KeptTermination(),
        TrainingCurves(directory / "metrics.csv"),
        TimedCheckpoint(checkpoints, execution.checkpoint_seconds),
        TrainingProgress(execution.progress),
    ]
    newest = checkpoints.newest()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="lightning")
        trainer = Trainer(
            max_epochs=settings.trainer.max_epochs,
            logger=list(loggers),
            callbacks=callbacks,
            accelerator=accelerator(execution.device),
            devices=1,
            plugins=[LightningEnvironment()],  # one process, whatever variables say; schedulers requeue, not we
            enable_model_summary=False,
            enable_progress_bar=False,
            num_sanity_val_steps=0,
            log_every_n_steps=1,
        )
        try:
            trainer.fit(learner, datamodule=data, ckpt_path=newest, weights_only=True)
        except SystemExit as end:
            if isinstance(end.__context__, KeyboardInterrupt):  # which Lightning makes an exit of
                raise end.__context__ from None
            raise
    learner.cpu()


def accelerator(device: Device) -> str:
    """Lightning's word for the device that rewards are learned on.

    Raises:
        ConfigurationError: CUDA is asked for, and there is none.
    """
    available = torch.cuda.is_available()
    if device == "cuda" and not available:
        raise ConfigurationError("device", device, "torch finds no CUDA device here; must be cpu, or auto")
    return "gpu" if available and device != "cpu" else "cpu"


def store(
    settings: RunSettings, family: Family, learner: RewardLearner, data: CombinedDataModule, directory: Path
) -> list[int]:
    """Save the reward model into a run's directory; returns the replicates that failed."""
    tensors, form = family.stored(learner.inference, data)
    shape = (settings.replicates, settings.members)
    description = described_model(settings, {**form, "hidden_sizes": list(settings.model.hidden_sizes)})
    if annotators := described_annotators(learner.inference, data):
        description["annotators"] = annotators
    if rationality := described_rationality(learner.inference, data):
        description["rationality"] = rationality
    bound = learner.bound.view(shape).mean(-1)
    if bound.isfinite().all():
        description["bound"] = bound.tolist()
    save_reward_model(directory / "reward_model", tensors, description)
    return learner.failed.view(shape).any(-1).nonzero().flatten().tolist()


def described_model(settings: RunSettings, form: Mapping[str, Any]) -> dict[str, Any]:
    """The description of a run's reward model.

    Args:
        form: what is needed to build it again.
    """
    return {
        **form,
        "replicates": settings.replicates,
        "members": settings.members,
        "seeds": settings.seeds,
        "env": masked(settings.env, "env"),
        "modality": settings.modality,
        "n_samples": {kind: values["n_samples"] for kind, values in settings.feedback.items()},
        "feedback": "simulated" if settings.data is None else "recorded",
    }
