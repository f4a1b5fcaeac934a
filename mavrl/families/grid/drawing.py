"""The figures of a run on a grid, of its first replicate."""

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure
from torch import Tensor

from mavrl.configuration.registry import KINDS
from mavrl.envs.problem import TabularProblem
from mavrl.evaluation.returns import policy_of
from mavrl.families.base import Drawing
from mavrl.model.tabular_reward import TabularRewardModel
from mavrl.planning import policy_values
from mavrl.reports.figures.occupancy import occupancy_figure
from mavrl.reports.figures.rewards import reward_figure
from mavrl.reports.figures.value import value_figure


def grid_drawings(
    problem: TabularProblem, model: TabularRewardModel, visits: Mapping[str, np.ndarray], name: str, score: str
) -> dict[str, Drawing]:
    """Rewards and values of the first replicate, each with its policy, and the states that its feedback is about.

    Args:
        visits: of each state in the samples of each kind; empty where nobody has kept them.
        name: of the run.
        score: how good it was, in words.
    """
    mean, std = model.mean_table()[:1].double(), model.std_table()[0]
    policy = policy_of(problem, mean)
    optimal, learned = problem.q[0].argmax(-1), policy[0].argmax(-1)
    goal = bool(problem.terminal_states.any())

    def rewards() -> Figure:
        true_reward, actions = problem.reward[0].numpy(), (optimal.numpy(), learned.numpy())
        path = most_probable_path(problem, learned)
        return reward_figure(true_reward, mean[0].numpy(), std.numpy(), *actions, path, f"{name}: {score}", goal)

    def value() -> Figure:
        of_learned = policy_values(problem.transitions, problem.reward[:1, :, None], policy, problem.gamma)[0]
        best = problem.q[0].amax(-1)
        return value_figure(best.numpy(), of_learned.numpy(), optimal.numpy(), learned.numpy(), name, goal)

    def occupancy() -> Figure | None:
        in_order = {kind: visits[kind] for kind in KINDS if kind in visits}
        return occupancy_figure(in_order, f"{name}: states that its feedback is about", goal) if in_order else None

    return {"rewards": rewards, "value": value, "occupancy": occupancy}


def most_probable_path(problem: TabularProblem, actions: Tensor) -> list[int]:
    """States that a policy most probably visits from the start, until it stands still or goes in circles."""
    state, path = int(problem.initial_distribution.argmax()), []
    while state not in path:
        path.append(state)
        outcome = int(problem.transitions.probabilities[state, actions[state]].argmax())
        state = int(problem.transitions.successors[state, actions[state], outcome])
    return path
