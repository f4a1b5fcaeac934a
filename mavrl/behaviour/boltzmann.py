"""Boltzmann policies over true action values."""

import torch
from jaxtyping import Float
from torch import Tensor


def boltzmann_policy(q: Float[Tensor, "R S A"], rationality: float) -> Float[Tensor, "R S A"]:
    """Probability of each action, softmax(rationality * Q(s, .)); rationality 0 is the uniform policy."""
    return torch.softmax(rationality * q.double(), dim=-1)
