"""Terms of the training objectives, as functions of tensors. All are in nats."""

import math
from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor

Backup = Literal["optimal", "soft", "behaviour"]


def gaussian_kl(
    mean: Float[Tensor, "*shape"],
    logvar: Float[Tensor, "*shape"],
    prior_mean: Float[Tensor, "*#shape"],
    prior_variance: Float[Tensor, "*#shape"],
) -> Float[Tensor, "*shape"]:
    """KL(N(mean, exp(logvar)) || N(prior_mean, prior_variance)), elementwise."""
    squares = (logvar.exp() + (mean - prior_mean).square()) / prior_variance
    return 0.5 * (squares - 1 + prior_variance.log() - logvar)


def bellman_nll(
    residual: Float[Tensor, "*shape"], mean: Float[Tensor, "*shape"], logvar: Float[Tensor, "*shape"]
) -> Float[Tensor, "*shape"]:
    """Gaussian negative log-likelihood of the Bellman residual Q(s, a) - gamma B(s') under the reward posterior.

    The constant log(2 pi) / 2 is left out, as in the published objective.
    """
    return 0.5 * ((residual - mean).square() / logvar.exp() + logvar)


def masked_mean(values: Float[Tensor, "R *rest"], valid: Bool[Tensor, "R *rest"]) -> Float[Tensor, "R"]:
    """Mean over the valid entries of each replicate; 0 where there are none."""
    kept = torch.where(valid, values, torch.zeros_like(values)).flatten(1)
    return kept.sum(-1) / valid.flatten(1).sum(-1).clamp(min=1)


def soft_value(q: Float[Tensor, "*shape A"], temperature: float) -> Float[Tensor, "*shape"]:
    """temperature * log mean exp(Q / temperature): between the mean and the maximum over actions."""
    return temperature * (torch.logsumexp(q / temperature, dim=-1) - math.log(q.shape[-1]))
