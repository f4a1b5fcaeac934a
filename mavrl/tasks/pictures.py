"""Data for the figures of a run."""

from typing import Any

import torch
from matplotlib.figure import Figure
from omegaconf import DictConfig

from mavrl.envs.problem import TabularProblem
from mavrl.evaluation.returns import policy_of
from mavrl.figures.rewards import reward_figure
from mavrl.model.reward_model import RewardModel


def draw_rewards(config: DictConfig, problem: TabularProblem, model: RewardModel, result: dict[str, Any]) -> Figure:
    """The first replicate's reward beside the true one."""
    mean, std = model.mean_table()[:1].double(), model.std_table()[0]
    learned = policy_of(problem, mean)[0].argmax(-1)
    score, epic = result["final"]["normalized_return"][0], result["final"]["epic_distance"][0]
    return reward_figure(
        problem.reward[0].numpy(),
        mean[0].numpy(),
        std.numpy(),
        problem.q[0].argmax(-1).numpy(),
        learned.numpy(),
        _path(problem, learned),
        f"{config.env.name} {config.modality.name}, seed {config.seed}: "
        f"normalized return {score:.1f}, EPIC distance {epic:.2f}",
    )


def _path(problem: TabularProblem, actions: torch.Tensor) -> list[int]:
    """States that a policy most probably visits from the start, until it stands still or goes in circles."""
    state, path = int(problem.initial_distribution.argmax()), []
    while state not in path:
        path.append(state)
        outcome = int(problem.transitions.probabilities[state, actions[state]].argmax())
        state = int(problem.transitions.successors[state, actions[state], outcome])
    return path
