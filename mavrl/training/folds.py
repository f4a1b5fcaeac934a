"""Judged by held-out labels: the models of all folds are trained as the replicates of one fit, then score labels."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mavrl.configuration.settings import RunSettings
from mavrl.evaluation.held_out import summarize_kind
from mavrl.evaluation.predictions import constants, predictions
from mavrl.families.base import Family
from mavrl.feedback.base import FeedbackBatch
from mavrl.feedback.combined import CombinedDataModule
from mavrl.feedback.datamodule import FeedbackDataModule, compact
from mavrl.feedback.folds import Folds, folds_by_episode
from mavrl.progress import stage
from mavrl.storage.checkpoints import Checkpoints
from mavrl.storage.files import read_json, write_json
from mavrl.streams import torch_stream
from mavrl.training.building import build_learner, data_of
from mavrl.training.evaluation import one_thread
from mavrl.training.fitting import fit, store

FOLDS = "folds"  # in a run's directory, while the run is not finished
_RESULT = "held_out.json"


def judge_held_out(settings: RunSettings, family: Family, data: CombinedDataModule, directory: Path) -> dict[str, Any]:
    """What held-out labels say of what is learned with these settings: `held_out` of metrics.json.

    A fold has the seed that a replicate with its number has. What an earlier call left half done is gone on with, and
    what it finished is returned.

    Args:
        data: all labels, set up.
        directory: of the run; its folder `folds` is for what is needed meanwhile, and has the result in the end.

    Returns:
        `folds`, and by kind what `mavrl.evaluation.held_out.summarize_kind` says; or `left_out`, why there is nothing
        to be said. Empty where nothing is to be held out.

    Raises:
        TrainingError: no model of any fold has a finite loss.
    """
    if settings.data is None or settings.folds == 0:
        return {}
    place = directory / FOLDS
    done = read_json(place / _RESULT)
    if isinstance(done, dict):
        return done
    folds = folds_by_episode(
        {kind: module.segments() for kind, module in data.modules.items()}, settings.folds, settings.seed
    )
    result = (
        {"left_out": why} if (why := _reason_to_leave_out(folds)) else _judged(settings, family, data, folds, place)
    )
    write_json(place / _RESULT, result)
    for path in place.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif path.name != _RESULT:
            path.unlink()
    return result


def _reason_to_leave_out(folds: Folds) -> str:
    """Why nothing can be held out; empty where it can."""
    if len(folds) < 2:
        return "all labels are about one episode; two are needed"
    if folds.empty:
        return "with the labels of some episodes held out, none is left to learn from"
    return ""


@dataclass(frozen=True)
class _Test:
    """The held-out labels of one kind: in each of F folds B samples, of which some fill up.

    Args:
        batch: the samples, shape (F, B, ...).
        label: which label each of them is of, shape (F, B); a demonstration has one sample a step.
    """

    batch: FeedbackBatch
    label: Tensor


def _judged(
    settings: RunSettings, family: Family, data: CombinedDataModule, folds: Folds, place: Path
) -> dict[str, Any]:
    of_folds = replace(settings, replicates=len(folds))
    asking = next(iter(data.modules.values())).asking
    divided = data_of(of_folds, replace(asking, seeds=of_folds.seeds))
    tests = {kind: _divide(module, folds) for kind, module in divided.modules.items()}
    learner = build_learner(of_folds, family, divided)
    fit(of_folds, learner, divided, Checkpoints(place / "checkpoints"), place)
    failed = store(of_folds, family, learner, divided, place)
    belief, likelihoods = family.belief(learner.inference, place), learner.inference.likelihoods
    seeds = [torch_stream(seed, "held out").initial_seed() for seed in of_folds.seeds]
    kinds = {}
    with one_thread(), stage(settings.execution.progress, "testing held-out labels"):
        for kind, test in tests.items():
            columns = predictions(belief, likelihoods[kind], test.batch, seeds)
            columns |= constants(divided.train_sets[kind], test.batch)
            kinds[kind] = _summary(columns, test, folds.episode[kind])
    return {"folds": len(folds), "kinds": kinds, **({"failed_folds": failed} if failed else {})}


def _divide(module: FeedbackDataModule, folds: Folds) -> _Test:
    """Give a DataModule with one replicate a fold the labels to train on; returns those that are held out."""
    answered, known_to_model = module.answered_questions()
    module.extend(_only(answered, folds.trained[module.kind]), known_to_model)
    tested = _only(answered, folds.tested[module.kind])
    steps = tested.transitions
    number = torch.arange(steps.valid.shape[1]).view(1, -1, *[1] * (steps.valid.ndim - 2)).expand(steps.valid.shape)
    # What is made of labels, such as a sample of each step, is made of their numbers in place of actions as well.
    numbered = compact(module.batch_of(replace(tested, transitions=replace(steps, action=number))))
    label = numbered.transitions.action
    label = label.flatten(2)[..., 0] if label.ndim > 2 else label
    return _Test(compact(module.batch_of(tested)), label)


def _only(answered: Any, kept: Tensor) -> Any:
    """Labels of which some are taken away: these become padding."""
    return replace(answered, transitions=answered.transitions.without(~kept))


def _summary(columns: Mapping[str, Tensor], test: _Test, episode: np.ndarray) -> dict[str, Any]:
    real = test.batch.valid_samples
    fold = torch.arange(len(real))[:, None].expand(real.shape)
    flat = {name: column[real].numpy() for name, column in columns.items()}
    return summarize_kind(flat, episode[test.label[real].numpy()], fold[real].numpy())
