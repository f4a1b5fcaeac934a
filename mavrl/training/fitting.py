"""Training with Lightning: loggers, progress, checkpoints and resumption around one learner."""

import logging
import warnings
from pathlib import Path

from lightning import Callback, Trainer
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from omegaconf import DictConfig, OmegaConf

from mavrl.agents.progress import wants_bar
from mavrl.configuration.identity import environment, seeds
from mavrl.families.base import Setting
from mavrl.feedback.combined import CombinedFeedback
from mavrl.model.learner import RewardLearner
from mavrl.model.reward_model import save_reward_model
from mavrl.storage.checkpoints import Checkpoints
from mavrl.training.building import build_learner
from mavrl.training.callbacks import TimedCheckpoint, TrainingCurves, TrainingProgress
from mavrl.training.loggers import open_loggers


def fit(
    config: DictConfig,
    setting: Setting,
    feedback: CombinedFeedback,
    checkpoints: Checkpoints,
    directory: Path,
) -> RewardLearner:
    """Train to the end, from the newest checkpoint if there is one."""
    learner = build_learner(config, setting, feedback)
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    callbacks: list[Callback] = [
        TrainingCurves(directory / "metrics.csv"),
        TimedCheckpoint(checkpoints, config.checkpoint_seconds),
    ]
    if wants_bar(config.progress):
        callbacks.append(TrainingProgress())
    newest = checkpoints.newest()
    with open_loggers(config, directory) as loggers, warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="lightning")
        trainer = Trainer(
            max_epochs=config.trainer.max_epochs,
            logger=loggers,
            callbacks=callbacks,
            accelerator="cpu",
            devices=1,
            plugins=[LightningEnvironment()],  # one process, whatever a scheduler's variables say; it requeues, not we
            enable_model_summary=False,
            enable_progress_bar=False,
            num_sanity_val_steps=0,
            log_every_n_steps=1,
        )
        trainer.fit(learner, datamodule=feedback, ckpt_path=newest, weights_only=True)
    return learner


def store(
    config: DictConfig, setting: Setting, feedback: CombinedFeedback, learner: RewardLearner, directory: Path
) -> list[int]:
    """Save the reward model; returns the replicates that failed."""
    tensors, form = setting.saved(learner, feedback)
    description = {
        **form,
        "hidden_sizes": OmegaConf.to_container(config.model.hidden_sizes),
        "replicates": config.replicates,
        "members": config.members,
        "seeds": seeds(config),
        "env": environment(config),
        "modality": config.modality.name,
    }
    bound = learner.bound.view(config.replicates, config.members).mean(-1)
    if bound.isfinite().all():
        description["bound"] = bound.tolist()
    save_reward_model(directory / "reward_model", tensors, description)
    return learner.failed.view(config.replicates, config.members).any(-1).nonzero().flatten().tolist()
