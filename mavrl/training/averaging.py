"""The posteriors of finished runs as one: its reward model, and what it is judged by, in a directory of its own."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from mavrl import __version__
from mavrl.configuration.settings import RunSettings
from mavrl.families.base import family_of
from mavrl.families.tabular import TabularFamily
from mavrl.model.averaging import averaged
from mavrl.model.reward_model import save_reward_model, saved_tensors, write_card
from mavrl.model.tabular_reward import TabularRewardModel
from mavrl.training.drawing import draw, wanted
from mavrl.training.evaluation import evaluate
from mavrl.training.fitting import described_model
from mavrl.training.run import described
from mavrl.workers import workers


def average_runs(
    settings: RunSettings, runs: Sequence[Path], rule: Literal["product", "mixture"], directory: Path
) -> dict[str, Any]:
    """Combine the reward models of runs, and judge what comes of them.

    Args:
        settings: of all runs together: what they share, and the feedback of each.
        runs: their directories.
        rule: how they are combined.
        directory: for the reward model and its figures.

    Returns:
        The content of metrics.json.
    """
    started = time.monotonic()
    with workers(settings.execution.processes) as pool:
        family = family_of(settings, pool)
        assert isinstance(family, TabularFamily)
        models = [TabularRewardModel.load(run) for run in runs]
        variance = torch.stack([_prior_variance(run, len(model)) for run, model in zip(runs, models, strict=True)])
        tensors = averaged(rule, models, family.prior_mean, variance)
        form = {"kind": "averaged", "reward_domain": "s", "n_states": family.problem.transitions.n_states}
        members = tensors["mean"].shape[1]
        save_reward_model(directory / "reward_model", tensors, {**described_model(settings, form), "members": members})
        combined = time.monotonic()
        result = evaluate(family, directory, [])
        about = described(settings, family)
        metrics = {
            **about,
            "members": members,
            "protocol": {**about["protocol"], "average": rule},
            **result,
            "seconds": {
                "train": combined - started,
                "evaluate": time.monotonic() - combined,
                "total": time.monotonic() - started,
            },
            "version": __version__,
        }
        write_card(directory / "reward_model", metrics)
        figures = settings.execution.figures
        draw(settings, family, directory, metrics, wanted(figures, True, family), pdf=figures == "all")
    return metrics


def _prior_variance(run: Path, replicates: int) -> Float[Tensor, "R"]:
    """Variance of the prior that a run ended with, mean over the members or the draws of each replicate."""
    tensors = saved_tensors(run)
    found = tensors["prior.scale"].square() if "prior.scale" in tensors else tensors["prior.variance"]
    return found.double().reshape(replicates, -1).mean(1)
