"""Learning about grids: a reward of every state, and the optimal values that follow from it."""

from typing import Any

import torch
from torch import Tensor

from mavrl.configuration.settings import ModelSettings, RunSettings
from mavrl.envs.problem import TabularProblem
from mavrl.families.base import PRIOR_MEAN_AT_TERMINATION
from mavrl.feedback.combined import CombinedDataModule
from mavrl.model.layers import BatchedMLP
from mavrl.model.objective import RewardInference
from mavrl.model.posterior import RewardPrior, StatePosterior
from mavrl.model.values import LearnedStateValues, PlannedValues, ValueSource
from mavrl.streams import model_streams

GridInference = RewardInference


def grid_inference(
    settings: RunSettings, problem: TabularProblem, termination: str, data: CombinedDataModule
) -> GridInference:
    """What is learned from feedback about a grid.

    Args:
        termination: what it means that an episode terminates.
    """
    model, models = settings.model, data.models
    mean = problem.terminal_states * PRIOR_MEAN_AT_TERMINATION[termination]
    return RewardInference(
        StatePosterior(problem.transitions.n_states, model.hidden_sizes, model_streams(models, "encoder")),
        RewardPrior(mean, model.prior.scale, len(models), model.prior.hyperprior_shape, model.prior.hyperprior_rate),
        _values(model, problem, models),
        data.likelihoods(),
    )


def _values(model: ModelSettings, problem: TabularProblem, models: list[tuple[int, int]]) -> ValueSource:
    transitions = problem.transitions
    if model.q == "planned":
        return PlannedValues(transitions, problem.gamma, len(models))
    network = BatchedMLP(transitions.n_states, model.hidden_sizes, transitions.n_actions, model_streams(models, "q"))
    return LearnedStateValues(network, problem.gamma, model.backup, model.soft_temperature)


@torch.no_grad()
def grid_weights(inference: GridInference, n_states: int) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Weights of a learned reward, and what is needed to build it again."""
    tensors = {f"encoder.{name}": t for name, t in inference.posterior.encoder.state_dict().items()}
    tensors |= {"prior.mean": inference.prior.mean, "prior.variance": inference.prior.variance}
    return tensors, {"kind": "tabular", "reward_domain": "s", "n_states": n_states}
