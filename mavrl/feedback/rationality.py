"""Rationality that nobody knows: how much a source of feedback heeds the reward is learned beside the reward."""

from dataclasses import replace
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from mavrl.feedback.annotators import LogNormal
from mavrl.feedback.base import Batch, FeedbackLikelihood, LearnedLikelihood
from mavrl.quadratic import QuadraticValues
from mavrl.types import Transitions

SPREAD = 2.0  # standard deviation of the factor's logarithm a priori: a tenth, or tenfold, is no surprise
_PACE = 5.0  # it is found sooner than the reward, which would first have to explain labels that say nothing


class RationalLikelihood(FeedbackLikelihood[Batch]):
    """A likelihood that reads the reward, or Q, times a factor: with 0 its labels say nothing about either.

    Every likelihood of this package has its rationality as such a factor, whatever it is called: beta of preferences
    and demonstrations, one over the noise of ratings, the rate of stops.

    Args:
        likelihood: what it says where the factor is 1.
        factor: of each model.
    """

    def __init__(self, likelihood: FeedbackLikelihood[Batch], factor: Float[Tensor, "R"]) -> None:
        super().__init__()
        self.likelihood, self.factor = likelihood, factor
        self.reads, self.answers_are_actions = likelihood.reads, likelihood.answers_are_actions  # type: ignore[misc]

    def of_actions(self, table: Float[Tensor, "R *more A"]) -> Float[Tensor, "R *more A"]:
        return self.likelihood.of_actions(self._beside(table) * table)

    def of_vectors(self, q: QuadraticValues, action: Float[Tensor, "R *more D"]) -> Float[Tensor, "R *more"]:
        value, precision = (self._beside(each) * each for each in (q.value, q.precision))
        return self.likelihood.of_vectors(replace(q, value=value, precision=precision), action)

    def _beside(self, values: Tensor) -> Tensor:
        """The factor with the axes of other values."""
        return self.factor.to(values.dtype).view(-1, *[1] * (values.ndim - 1))

    def log_prob(self, values: Float[Tensor, "R B *steps"], batch: Batch) -> Float[Tensor, "R B"]:
        return self.likelihood.log_prob(values, batch)

    def outcomes(self, values: Float[Tensor, "R B *values"], transitions: Transitions) -> Float[Tensor, "R B *Y"]:
        return self.likelihood.outcomes(values, transitions)

    def sample(self, values: Any, transitions: Transitions, generators: list[torch.Generator]) -> Batch:
        """Labels, given what `of_actions` makes of the truth."""
        return self.likelihood.sample(values, transitions, generators)


class UnknownRationality(LearnedLikelihood[Batch]):
    """The same where nobody knows the factor, which has a log-normal posterior under a log-normal prior around 1.

    A source that contradicts itself, or the others, ends with a small factor and is hardly heeded. The unit of the
    reward is what the priors say: only products of factors and reward are told by labels.

    Args:
        likelihood: what it says where the factor is 1; it may learn something itself.
        n_models: R.
    """

    def __init__(self, likelihood: FeedbackLikelihood[Batch], n_models: int) -> None:
        super().__init__()
        self.likelihood = likelihood
        self.reads, self.answers_are_actions = likelihood.reads, likelihood.answers_are_actions  # type: ignore[misc]
        self.factor = LogNormal(1.0, n_models, 1, SPREAD, _PACE)

    @property
    def n_latents(self) -> int:
        return 1 + self.likelihood.n_latents

    def of_actions(self, table: Float[Tensor, "R *more A"]) -> Float[Tensor, "R *more A"]:
        return self.drawn().of_actions(table)

    def of_vectors(self, q: QuadraticValues, action: Float[Tensor, "R *more D"]) -> Float[Tensor, "R *more"]:
        return self.drawn().of_vectors(q, action)

    def drawn(self, noise: Float[Tensor, "R L"] | None = None) -> RationalLikelihood[Batch]:
        if noise is None:
            inner = self.likelihood.drawn() if isinstance(self.likelihood, LearnedLikelihood) else self.likelihood
            return RationalLikelihood(inner, self.factor.drawn().squeeze(1))
        factor = self.factor.drawn(noise[:, :1]).squeeze(1)
        return RationalLikelihood(self.likelihood.drawn(noise[:, 1:]), factor)

    def kl(self) -> Float[Tensor, "R"]:
        inner = self.likelihood.kl()
        return self.factor.kl() if inner is None else self.factor.kl() + inner

    def learned(self) -> dict[str, Float[Tensor, "R A"]]:
        return self.likelihood.learned()
