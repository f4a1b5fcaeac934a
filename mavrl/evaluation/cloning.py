"""Imitation in finite environments: what demonstrators did, and nothing of why."""

import torch
from jaxtyping import Float
from torch import Tensor

from mavrl.types import Transitions


def cloned_policy(shown: Transitions, n_states: int, n_actions: int) -> Float[Tensor, "R S A"]:
    """How often each action was shown in each state; all actions alike where none was.

    Args:
        shown: steps of demonstrations, shape (R, B), states and actions as numbers.
        n_states, n_actions: S and A.
    """
    pair = shown.state * n_actions + shown.action
    counts = torch.zeros(len(pair), n_states * n_actions, dtype=torch.float64)
    counts = counts.scatter_add(1, pair, shown.valid.double()).unflatten(1, (n_states, n_actions))
    total = counts.sum(-1, keepdim=True)
    return torch.where(total > 0, counts / total.clamp(min=1), 1 / n_actions)
