"""The parts of a run that do not depend on the family of its environment."""

import logging
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from hydra.utils import instantiate

from mavrl.configuration.registry import KINDS, trusted_targets
from mavrl.configuration.settings import ModelSettings, RunSettings
from mavrl.errors import ConfigurationError
from mavrl.families.base import Family
from mavrl.feedback.cautions import cautions
from mavrl.feedback.combined import CombinedDataModule
from mavrl.feedback.datamodule import Asking, FeedbackDataModule, Serving
from mavrl.feedback.recorded import RecordedFeedback
from mavrl.folder.digest import digest
from mavrl.folder.folder import FeedbackFolder
from mavrl.folder.usable import is_used
from mavrl.model.learner import RewardLearner
from mavrl.model.objective import EvidenceLowerBound, Objective, WeightedAverages
from mavrl.simulation.base import Simulator
from mavrl.storage.answers import AnswerStore

log = logging.getLogger(__name__)


def build_data(settings: RunSettings, family: Family, about: Simulator | None = None) -> CombinedDataModule:
    """The DataModules of all active kinds of feedback, and what serves them together.

    Args:
        about: behaviour that a simulated teacher is asked about, in place of what the family simulates.

    Raises:
        ConfigurationError: the feedback is in a folder, and does not fit the environment or the settings.
    """
    if settings.data is not None:
        recorded = _recorded(settings, family)
        asking = Asking(recorded.behaviour, settings.seeds, {}, AnswerStore(None), teacher=recorded.teacher)
    else:
        asking = _simulated(settings, family)
        if about is not None:
            asking = replace(asking, simulator=about, store=AnswerStore(None))
    return data_of(settings, asking)


def data_of(settings: RunSettings, asking: Asking) -> CombinedDataModule:
    """The DataModules of all active kinds of feedback, given where questions and answers come from."""
    modules = {kind: _data_module(kind, settings, asking) for kind in settings.feedback}
    return CombinedDataModule(modules, settings.trainer.least_steps, settings.trainer.passes_per_epoch)


def _simulated(settings: RunSettings, family: Family) -> Asking:
    return Asking(
        family.simulator,
        settings.seeds,
        {**family.simulation, "code": family.code} if family.code else family.simulation,
        AnswerStore(settings.execution.cache),
        _made(settings.query),
        _made(settings.teacher),
        settings.trainer.validation,
    )


def _recorded(settings: RunSettings, family: Family) -> RecordedFeedback:
    if settings.execution.folder is None:
        raise ConfigurationError("data.folder", None, "is not there; data.digest tells which folder it must be")
    path = Path(settings.execution.folder)
    folder, found = FeedbackFolder.open(path), digest(path)
    if found != settings.data:
        allowed = f"is the digest of the folder that was asked for; {path} is another one, or has changed since"
        raise ConfigurationError("data.digest", settings.data, allowed)
    episodes = folder.episodes()
    labels = folder.labels(episodes.lengths)
    described = folder.description
    recorded = RecordedFeedback.from_labels(
        family.fitted(episodes, described.action_space.n), labels, described.told, found
    )
    wanted = {kind: each["n_samples"] for kind, each in settings.feedback.items()}
    recorded.check_counts(wanted)
    rating, most = settings.feedback.get("rating"), recorded.teacher.n_categories
    if rating is not None and most and rating["n_categories"] != most:
        allowed = f"must be {most}, as on the folder's scale with most of them"
        raise ConfigurationError("feedback.rating.n_categories", rating["n_categories"], allowed)
    known = [label for label in labels if is_used(label)]
    used = {kind: [label for label in known if label.type == kind][:count] for kind, count in wanted.items()}
    for warning in cautions(used):
        log.warning(warning)
    return recorded


def _data_module(kind: str, settings: RunSettings, asking: Asking) -> FeedbackDataModule:
    optim = settings.optim
    size = optim.batch_size if KINDS[kind].segments else optim.demonstration_batch_size
    sampling = settings.model.sampling  # chains see what members see: the same data
    serving = Serving(size, settings.trainer.passes_per_epoch, sampling.chains if sampling else settings.members)
    return _made({**settings.feedback[kind], "_partial_": True})(asking=asking, serving=serving)


def _made(node: Mapping[str, Any]) -> Any:
    """What the `_target_` of a part of the configuration names, made with the other values as arguments."""
    return instantiate(dict(node), _execution_whitelist_=trusted_targets())


def build_learner(settings: RunSettings, family: Family, data: CombinedDataModule) -> RewardLearner:
    """The learner of feedback that has been set up."""
    optim, trainer = settings.optim, settings.trainer
    return RewardLearner(
        family.inference(data),
        _objective(settings.model, data),
        data.models,
        total_steps=trainer.max_epochs * data.steps_per_epoch,
        selection=settings.selection,
        patience=trainer.patience,
        lr=optim.lr,
        schedule=optim.schedule,
        weight_decay=optim.weight_decay,
        gradient_clip=optim.gradient_clip,
    )


def _objective(model: ModelSettings, data: CombinedDataModule) -> Objective:
    if model.objective == "elbo":
        return EvidenceLowerBound(data.sizes(), model.bellman_weight)
    return WeightedAverages(data.sizes(), model.bellman_weight, model.kl_weight, model.importance_weights)
