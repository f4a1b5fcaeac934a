"""Distances and correlations of a learned and a true reward, whatever policies they lead to."""

import torch
from jaxtyping import Float
from torch import Tensor

_CONSTANT = 1e-12  # what rounding leaves of a constant row when its mean is subtracted, as a part of it


def pearson(x: Float[Tensor, "R N"], y: Float[Tensor, "#R N"]) -> Float[Tensor, "R"]:
    """Pearson correlation of each row; 0 where either row is constant."""
    rows = [z.double() for z in (x, y)]
    x, y = (z - z.mean(-1, keepdim=True) for z in rows)
    varies = [z.norm(dim=-1) > _CONSTANT * row.norm(dim=-1) for z, row in zip((x, y), rows, strict=True)]
    norm = x.norm(dim=-1) * y.norm(dim=-1)
    both = varies[0] & varies[1] & (norm > 0)
    return torch.where(both, (x * y).sum(-1) / torch.where(both, norm, 1.0), 0.0).clamp(-1, 1)


def epic_distance(reward: Float[Tensor, "R S"], other: Float[Tensor, "#R S"]) -> Float[Tensor, "R"]:
    """EPIC distance of two rewards of the state, sqrt((1 - correlation) / 2), in [0, 1].

    Gleave et al. (2021). Canonical shaping with uniform distributions D of states and of actions turns R(s, a, s') into
    R(s, a, s') + E[gamma R(s', A, S') - R(s, A, S') - gamma R(S, A, S')]. For a reward r(s) that is
    gamma (r(s') - mean r): over uniform (s, a, s'), the Pearson correlation is that of r itself over the states.
    """
    return ((1 - pearson(reward, other)) / 2).sqrt()


def spearman(x: Float[Tensor, "R N"], y: Float[Tensor, "#R N"]) -> Float[Tensor, "R"]:
    """Spearman's rank correlation of each row, with mean ranks for ties."""
    return pearson(_ranks(x), _ranks(y))


def _ranks(x: Float[Tensor, "R N"]) -> Float[Tensor, "R N"]:
    ordered, _ = x.double().sort(dim=-1)
    x = x.double().contiguous()
    below = torch.searchsorted(ordered, x)
    up_to = torch.searchsorted(ordered, x, right=True)
    return (below + up_to).double() / 2
