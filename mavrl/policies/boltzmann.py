"""Boltzmann policies over true action values."""

import math

import torch
from jaxtyping import Float
from torch import Tensor


def boltzmann_policy(
    q: Float[Tensor, "*batch A"], rationality: float, epsilon: float = 0.0
) -> Float[Tensor, "*batch A"]:
    """Probability of each action, (1 - epsilon) softmax(rationality * Q(s, .)) + epsilon / A, in float64.

    Args:
        rationality: 0 is the uniform policy, infinity the greedy one.
        epsilon: how often a uniformly random action is taken instead.
    """
    if math.isinf(rationality):
        greedy = torch.nn.functional.one_hot(q.argmax(-1), q.shape[-1]).double()
    else:
        greedy = torch.softmax(rationality * q.double(), dim=-1)
    return greedy if epsilon == 0 else (1 - epsilon) * greedy + epsilon / q.shape[-1]
