"""The picture of a run on a grid."""

from matplotlib.figure import Figure
from torch import Tensor

from mavrl.envs.problem import TabularProblem
from mavrl.evaluation.returns import policy_of
from mavrl.model.tabular_reward import TabularRewardModel
from mavrl.reports.figures.rewards import reward_figure


def grid_figure(problem: TabularProblem, model: TabularRewardModel, title: str) -> Figure:
    """The reward of the first replicate beside the true one."""
    mean, std = model.mean_table()[:1].double(), model.std_table()[0]
    learned = policy_of(problem, mean)[0].argmax(-1)
    return reward_figure(
        problem.reward[0].numpy(),
        mean[0].numpy(),
        std.numpy(),
        problem.q[0].argmax(-1).numpy(),
        learned.numpy(),
        most_probable_path(problem, learned),
        title,
        bool(problem.terminal_states.any()),
    )


def most_probable_path(problem: TabularProblem, actions: Tensor) -> list[int]:
    """States that a policy most probably visits from the start, until it stands still or goes in circles."""
    state, path = int(problem.initial_distribution.argmax()), []
    while state not in path:
        path.append(state)
        outcome = int(problem.transitions.probabilities[state, actions[state]].argmax())
        state = int(problem.transitions.successors[state, actions[state], outcome])
    return path
