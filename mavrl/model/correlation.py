"""How the rewards of points are tied together in a posterior: from independent normal numbers to correlated ones."""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

Covariance = Literal["full", "low_rank", "diagonal"]
MOST_STATES_FULL = 100  # of a full covariance, unless it is asked for: beyond, it costs more than half of a step
_SPEED = 9.0  # of a row of loadings, in learning rates: they begin at 0, and some of them have to come to 1
_FIRST = 0.1  # size of the first loadings of low rank: at 0 they have no gradient


@dataclass(frozen=True)
class Correlation:
    """The correlation of Gaussians over N points: z = (e + B u) / |.|, each z(x) of variance 1.

    The rewards are mean + std z. Of a noise vector, e is the first N numbers and u the last K: the same ones where B is
    strictly lower triangular, others where its rank is low. Without loadings, K = 0, points are independent.

    Args:
        loadings: B, with the axes of the models first.
        n_noise: independent normal numbers that make one draw: N, or N + K.
        log_determinant: of the covariance of e + B u.
    """

    loadings: Float[Tensor, "*models N K"]
    n_noise: int
    log_determinant: Float[Tensor, "*models"]

    @classmethod
    def independent(cls, of: Float[Tensor, "*models N"]) -> "Correlation":
        """That of independent points, as many as there are in a tensor about them."""
        return cls(of.new_zeros(*of.shape, 0), of.shape[-1], of.new_zeros(of.shape[:-1]))

    def __getitem__(self, models: Any) -> "Correlation":
        """That of some of the models."""
        return Correlation(self.loadings[models], self.n_noise, self.log_determinant[models])

    def members(self, count: int) -> "Correlation":
        """The same with members of a replicate on an axis of their own: R M models become R x M."""
        loadings, log_determinant = (x.unflatten(0, (-1, count)) for x in (self.loadings, self.log_determinant))
        return Correlation(loadings, self.n_noise, log_determinant)

    def correlated(self, noise: Float[Tensor, "*models P n_noise"]) -> Float[Tensor, "*models P N"]:
        """P draws of correlated numbers, each of mean 0 and variance 1, from independent ones."""
        n_points, n_loadings = self.loadings.shape[-2:]
        tied = noise[..., self.n_noise - n_loadings :] @ self.loadings.mT
        return (noise[..., :n_points] + tied) / self._norm()[..., None, :]

    def matrix(self) -> Float[Tensor, "*models N N"]:
        """The correlations of all pairs of points."""
        factor = torch.eye(
            self.loadings.shape[-2], self.n_noise, dtype=self.loadings.dtype, device=self.loadings.device
        )
        shift = self.n_noise - self.loadings.shape[-1]
        factor = (factor + nn.functional.pad(self.loadings, (shift, 0))) / self._norm()[..., None]
        return factor @ factor.mT

    def total(self) -> Float[Tensor, "*models"]:
        """Total correlation in nats: the divergence of the joint Gaussian from the product of its marginals."""
        return self._norm().log().sum(-1) - 0.5 * self.log_determinant

    def _norm(self) -> Float[Tensor, "*models N"]:
        return (1 + self.loadings.square().sum(-1)).sqrt()


class StateCorrelation(nn.Module, ABC):
    """The learned correlation of the states of a finite environment, one of each model.

    Args:
        loadings: first values; of a triangular form, those below the diagonal.
    """

    covariance: Covariance

    def __init__(self, loadings: Float[Tensor, "R S K"]) -> None:
        super().__init__()
        self.loadings = nn.Parameter(loadings)

    @abstractmethod
    def forward(self) -> Correlation:
        """The correlation with these loadings."""

    @property
    def speed(self) -> float:
        """Learning rate, in units of that of other weights: a row of K that all move goes as far, whatever K is."""
        return _SPEED / math.sqrt(self.loadings.shape[-1])


class TriangularCorrelation(StateCorrelation):
    """Any correlation: C = 1 + B is unit lower triangular, and 1 at the start; its determinant is 1."""

    covariance: Covariance = "full"

    @classmethod
    def first(cls, n_states: int, n_models: int) -> "TriangularCorrelation":
        """The correlation of independent states."""
        return cls(torch.zeros(n_models, n_states, n_states))

    def forward(self) -> Correlation:
        loadings = self.loadings.tril(-1)
        return Correlation(loadings, loadings.shape[-1], loadings.new_zeros(len(loadings)))


class LowRankCorrelation(StateCorrelation):
    """That of the identity plus B B' with few columns: |1 + B B'| = |1 + B' B|, by the determinant lemma."""

    covariance: Covariance = "low_rank"

    @classmethod
    def first(cls, n_states: int, rank: int, generators: Sequence[torch.Generator]) -> "LowRankCorrelation":
        """A correlation of nearly independent states.

        Args:
            rank: columns of B.
            generators: one source of initial weights per model.
        """
        return cls(torch.stack([_FIRST * torch.randn(n_states, rank, generator=g) for g in generators]))

    def forward(self) -> Correlation:
        loadings = self.loadings
        n_states, rank = loadings.shape[-2:]
        gram = torch.eye(rank, device=loadings.device) + loadings.mT @ loadings
        return Correlation(loadings, n_states + rank, torch.linalg.slogdet(gram).logabsdet)


def chosen_covariance(wanted: Covariance | None, objective: str, n_states: int) -> Covariance:
    """The covariance that is asked for; else a full one, where it is affordable and the objective is the bound."""
    if wanted is not None:
        return wanted
    return "full" if objective == "elbo" and n_states <= MOST_STATES_FULL else "diagonal"


def first_correlation(
    covariance: Covariance, n_states: int, rank: int, generators: Sequence[torch.Generator]
) -> StateCorrelation | None:
    """What begins a training; None for independent states, where there is nothing to learn.

    Args:
        rank: of a low rank.
        generators: one source of initial weights per model.
    """
    if covariance == "full":
        return TriangularCorrelation.first(n_states, len(generators))
    return LowRankCorrelation.first(n_states, rank, generators) if covariance == "low_rank" else None


def stored_correlation(covariance: str, loadings: Float[Tensor, "R S K"] | None) -> StateCorrelation | None:
    """The correlation with stored loadings; None where there are none.

    Raises:
        KeyError: nothing is known of such a covariance.
    """
    classes = {each.covariance: each for each in (TriangularCorrelation, LowRankCorrelation)}
    return None if loadings is None else classes[covariance](loadings)  # type: ignore[index]
