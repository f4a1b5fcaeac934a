"""The objects of a run that do not depend on the family of its environment, built from its configuration."""

from hydra.utils import instantiate
from omegaconf import DictConfig

from mavrl.configuration.identity import active_kinds, seeds
from mavrl.families.base import Setting
from mavrl.feedback.combined import CombinedFeedback
from mavrl.model.learner import RewardLearner
from mavrl.model.objective import EvidenceLowerBound, Objective, WeightedAverages
from mavrl.storage.answers import DatasetCache
from mavrl.workers import Workers


def build_setting(config: DictConfig, workers: Workers) -> Setting:
    """The environment of a run, with what its family does in its own way."""
    if config.env.family == "grid":
        from mavrl.families.grid.family import FiniteSetting

        return FiniteSetting(config)
    from mavrl.families.control.family import ControlSetting

    return ControlSetting(config, workers)


def build_feedback(config: DictConfig, setting: Setting) -> CombinedFeedback:
    return CombinedFeedback(
        sources={
            kind: instantiate(config.feedback[kind], _execution_whitelist_=["mavrl.feedback.*"])
            for kind in active_kinds(config)
        },
        simulator=setting.simulator,
        seeds=seeds(config),
        cache=DatasetCache(config.paths.cache),
        environment=setting.simulation,
        batch_size=config.optim.batch_size,
        demonstration_batch_size=config.optim.demonstration_batch_size,
        least_steps=config.trainer.least_steps,
        passes_per_epoch=config.trainer.passes_per_epoch,
        validation=config.trainer.validation,
        members=config.members,
    )


def build_learner(config: DictConfig, setting: Setting, feedback: CombinedFeedback) -> RewardLearner:
    """The learner of prepared feedback."""
    models = [(seed, member) for seed in seeds(config) for member in range(config.members)]
    return RewardLearner(
        setting.inference(feedback, feedback.likelihoods(), models),
        _build_objective(config, feedback),
        models,
        total_steps=config.trainer.max_epochs * feedback.steps_per_epoch,
        selection=config.selection,
        patience=config.trainer.patience,
        **{key: config.optim[key] for key in ("lr", "schedule", "weight_decay", "gradient_clip")},
    )


def _build_objective(config: DictConfig, feedback: CombinedFeedback) -> Objective:
    sizes = {
        name: batch.valid_samples.sum(-1).float().repeat_interleave(config.members)
        for name, batch in feedback.sets["train"].items()
    }
    model = config.model
    if model.objective == "elbo":
        return EvidenceLowerBound(sizes, model.bellman_weight)
    return WeightedAverages(sizes, model.bellman_weight, model.kl_weight, model.importance_weights)
