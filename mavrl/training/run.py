"""One run: simulate feedback, learn the reward posterior, store it, act on it, judge it."""

import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from mavrl import __version__
from mavrl.configuration.registry import KINDS
from mavrl.configuration.settings import RunSettings
from mavrl.families.base import Family, family_of
from mavrl.feedback.combined import CombinedDataModule
from mavrl.model.reward_model import find_reward_model, write_card
from mavrl.progress import stage, ticking
from mavrl.storage.checkpoints import Checkpoints
from mavrl.storage.contents import read_status
from mavrl.storage.shown import keep_shown
from mavrl.training.building import build_data, build_learner
from mavrl.training.drawing import FIGURES, draw, wanted
from mavrl.training.evaluation import evaluate
from mavrl.training.fitting import accelerator, fit, store
from mavrl.training.folds import FOLDS, judge_held_out
from mavrl.training.loggers.destinations import log_result, open_loggers
from mavrl.training.online import OnlineLearning
from mavrl.training.sampling import sample_posterior
from mavrl.workers import cores, workers


def run(
    settings: RunSettings,
    directory: Path,
    restart: bool = False,
    begun: Callable[[], None] = lambda: None,
    advance: Callable[[int, int], None] = lambda number, count: None,
    known: Callable[[dict[str, Any]], None] = lambda result: None,
    alone: bool = False,
) -> dict[str, Any]:
    """Run the settings in a directory; what an earlier call there left half done is gone on with.

    Args:
        directory: for everything that the run writes, its reward model and its figures among it.
        restart: begin anew instead.
        begun: told when the feedback is there, before anything is written into the directory: what is wrong with the
            settings has shown by then.
        advance: told the number of the round of questions, from 1, and that of all, where there are rounds.
        known: told the result as soon as it is known: before anything is drawn, which it does not wait for.
        alone: whether it is no job among many, for `figures=auto`.

    Returns:
        Settings, metrics with their means and standard errors, and seconds, as metrics.json has them.

    Raises:
        ConfigurationError: the settings do not fit one another or the environment.
        TrainingError: no model has a finite loss.
    """
    started, progress = time.monotonic(), settings.execution.progress
    accelerator(settings.execution.device)  # one that is not there is refused before any work
    torch.set_num_threads(settings.execution.threads or cores())
    with workers(settings.execution.processes) as pool:
        with stage(progress, "planning"):
            family = family_of(settings, pool)
            data = build_data(settings, family)
        checkpoints, rows = Checkpoints(directory / "checkpoints"), []
        if restart:
            checkpoints.clear()
            for name in ("policies", "rounds", FOLDS, FIGURES):
                shutil.rmtree(directory / name, ignore_errors=True)
        if settings.rounds is None:
            with ticking(progress, "simulating feedback", "episode"):
                data.prepare_data()
                data.setup()
            begun()
        simulated = time.monotonic()
        held_out = judge_held_out(settings, family, data, directory)
        judged = time.monotonic()
        about = described(settings, family)
        with open_loggers(settings, directory, about) as loggers:
            if settings.rounds is None:
                if settings.model.objective == "exact":
                    failed = sample_posterior(settings, family, data, checkpoints, directory)
                else:
                    learner = build_learner(settings, family, data)
                    fit(settings, learner, data, checkpoints, directory, loggers)
                    failed = store(settings, family, learner, data, directory)
                trained = time.monotonic()
                family.act(directory, data)
            else:
                data, failed, rows = OnlineLearning(settings, family, data, directory, loggers, advance).run(begun)
                trained = time.monotonic()
            acting = time.monotonic()
            with ticking(progress, "evaluating", "episode"):
                result = evaluate(family, directory, failed)
            keep_shown(directory, family.shown(data))
            evaluated = time.monotonic()
            metrics = {
                **about,
                **result,
                **({"failed_replicates": failed} if failed else {}),
                **({"held_out": held_out} if held_out else {}),
                **({"rounds": rows} if rows else {}),
                **_skipped(data),
                **_of_teachers(directory),
                "seconds": {
                    "data": simulated - started,
                    **({"folds": judged - simulated} if held_out else {}),
                    "train": trained - judged,
                    **({"policy": acting - trained} if family.trains_policies else {}),
                    "evaluate": evaluated - acting,
                    "total": evaluated - started,
                },
                **({"config_hash": name} if (name := read_status(directory).get("config_hash")) else {}),
                "version": __version__,
            }
            write_card(directory / "reward_model", metrics)
            known(metrics)
            checkpoints.clear()
            shutil.rmtree(directory / FOLDS, ignore_errors=True)
            figures = settings.execution.figures
            with stage(progress, "drawing"):
                draw(settings, family, directory, metrics, wanted(figures, alone, family), pdf=figures == "all")
            log_result(loggers, directory, metrics)
    return metrics


def _skipped(data: CombinedDataModule) -> dict[str, Any]:
    """How many questions of each kind got no answer, of each replicate; nothing where all got one."""
    counts = {kind: module.skipped.tolist() for kind, module in data.modules.items() if module.skipped.any()}
    return {"skipped": counts} if counts else {}


def _of_teachers(directory: Path) -> dict[str, Any]:
    """What was learned about those who gave the feedback, as the stored model has it."""
    described = find_reward_model(directory)[1]
    return {name: described[name] for name in ("annotators", "rationality") if described.get(name)}


def described(settings: RunSettings, family: Family) -> dict[str, Any]:
    """What was run, for metrics.json."""
    model = settings.model
    return {
        "env": settings.env["name"],
        "modality": settings.modality,
        "seed": settings.seed,
        "replicates": settings.replicates,
        "members": settings.members,
        "n_samples": {kind: settings.feedback.get(kind, {}).get("n_samples", 0) for kind in KINDS},
        "protocol": {
            "objective": model.objective,
            "q": model.q,
            "backup": "exact" if model.q == "planned" else model.backup,
            "termination": settings.env["termination"],
            "selection": settings.selection,
            **({} if settings.rounds is None else {"rounds": settings.rounds.count}),
            **family.protocol(),
        },
    }
