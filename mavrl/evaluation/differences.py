"""Differences of rewards that users ask for: of two segments, and of two policies; and how well they are known.

Every difference is a weighted sum of the states' rewards, with weights w: its distribution under the posterior needs
joint draws of all states. A constant that is added to all rewards changes none of them.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mavrl.envs.problem import TabularProblem
from mavrl.evaluation.calibration import coverage, share_below
from mavrl.planning import evaluate_actions, plan
from mavrl.types import Transitions

_SAME = 1e-9  # discounted or relative visits, up to which two policies or segments are one


def segment_differences(pairs: Transitions, n_states: int) -> Float[Tensor, "R P S"]:
    """Weights of the mean reward of the first segment of each pair minus that of the second.

    Args:
        pairs: steps of shape (R, P, 2, T), states as numbers.
        n_states: S.
    """
    valid = pairs.valid.double()
    visits = torch.zeros(*valid.shape[:3], n_states, dtype=torch.float64)
    visits.scatter_add_(-1, pairs.state, valid)
    share = visits / valid.sum(-1, keepdim=True).clamp(min=1)
    return share[:, :, 0] - share[:, :, 1]


def optimal_actions(problem: TabularProblem, reward: Float[Tensor, "R K S"]) -> Int[Tensor, "R K S"]:
    """Actions of the policies that are optimal for K rewards of each replicate."""
    rows = reward.double().flatten(0, 1)
    start = torch.zeros(rows.shape, dtype=torch.int64)
    return plan(problem.transitions, rows[..., None], problem.gamma, start)[1].view(reward.shape)


def occupancies(problem: TabularProblem, actions: Int[Tensor, "R K S"]) -> Float[Tensor, "R K S"]:
    """Expected discounted visits of every state under K policies: what their values at the start weigh rewards with.

    They are the gradient of the values to the reward.
    """
    rows = actions.flatten(0, 1)
    with torch.enable_grad():
        reward = torch.zeros(rows.shape, dtype=torch.float64, requires_grad=True)
        values = evaluate_actions(problem.transitions, reward[..., None], rows, problem.gamma)
        (visits,) = torch.autograd.grad((values @ problem.initial_distribution.double()).sum(), reward)
    return visits.view(actions.shape)


def all_pairs(weights: Float[Tensor, "R K S"]) -> Float[Tensor, "R P S"]:
    """Weights of the difference of every two of K."""
    first, second = torch.triu_indices(weights.shape[1], weights.shape[1], offset=1)
    return weights[:, first] - weights[:, second]


def coverages(
    weights: Float[Tensor, "R P S"],
    draws: Float[Tensor, "R N S"],
    truth: Float[Tensor, "#R S"],
    levels: Float[Tensor, "L"],
) -> Float[Tensor, "R L"]:
    """Share of the differences whose true value lies in central intervals of the posterior's draws.

    Differences without weights are known, and do not count; where a replicate has no others, the share is 1.

    Args:
        weights: of each difference.
        draws: reward functions drawn from the posterior.
        truth: true reward of every state.
        levels: probability of each interval, in (0, 1).
    """
    shares = []
    for row, each in enumerate(weights):
        each = each[each.abs().amax(-1) > _SAME]
        true = each @ truth[row if len(truth) > 1 else 0].double()
        below = share_below((draws[row].double() @ each.T)[None], true[None])
        found = [coverage(below, level) if len(each) else torch.ones(1).double() for level in levels.tolist()]
        shares.append(torch.cat(found))
    return torch.stack(shares)
