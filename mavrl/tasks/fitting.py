"""Training with Lightning: loggers, progress, checkpoints and resumption around one learner."""

import logging
import sys
import warnings
from pathlib import Path

from lightning import Callback, Trainer
from omegaconf import DictConfig

from mavrl.data.combined import CombinedFeedback
from mavrl.envs.problem import TabularProblem
from mavrl.model.learner import RewardLearner
from mavrl.model.reward_model import save_reward_model
from mavrl.results.checkpoints import Checkpoints
from mavrl.tasks.building import build_learner, description
from mavrl.tasks.callbacks import TimedCheckpoint, TrainingCurves, TrainingProgress
from mavrl.tasks.loggers import open_loggers


def fit(
    config: DictConfig,
    problem: TabularProblem,
    feedback: CombinedFeedback,
    checkpoints: Checkpoints,
    directory: Path,
) -> RewardLearner:
    """Train to the end, from the newest checkpoint if there is one."""
    learner = build_learner(config, problem, feedback)
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    bar = sys.stderr.isatty() if config.progress == "auto" else config.progress
    callbacks: list[Callback] = [
        TrainingCurves(directory / "metrics.csv"),
        TimedCheckpoint(checkpoints, config.checkpoint_seconds),
    ]
    if bar:
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
            enable_model_summary=False,
            enable_progress_bar=False,
            num_sanity_val_steps=0,
            log_every_n_steps=1,
        )
        trainer.fit(learner, datamodule=feedback, ckpt_path=newest, weights_only=True)
    return learner


def store(config: DictConfig, problem: TabularProblem, learner: RewardLearner, directory: Path) -> list[int]:
    """Save the reward model; returns the replicates that failed."""
    inference = learner.inference
    prior = {"mean": inference.prior.mean, "variance": inference.prior.variance}
    weights = inference.posterior.encoder.state_dict()
    save_reward_model(directory / "reward_model", weights, description(config, problem), prior)
    return learner.failed.view(config.replicates, config.members).any(-1).nonzero().flatten().tolist()
