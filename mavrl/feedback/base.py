"""What every kind of feedback is: a likelihood that scores labels and samples them.

A likelihood reads one number at each step: the reward, or something that it derives from the action values of the
step's state, such as the regret of the action taken. With a model's values it scores labels for learning; with the
true values and its own parameters it is the simulated teacher. There is one implementation of each formula, used both
ways. Each class has a `sample` beside its `log_prob`; what it draws is the kind's own label.
"""

from abc import ABC, abstractmethod
from typing import ClassVar, Generic, Literal, TypeVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from mavrl.types import FeedbackBatch

Batch = TypeVar("Batch", bound=FeedbackBatch)


class FeedbackLikelihood(nn.Module, ABC, Generic[Batch]):
    """log p(label | what it reads at each step)."""

    reads: ClassVar[Literal["reward", "q"]]

    def of_actions(self, table: Float[Tensor, "*batch A"]) -> Float[Tensor, "*batch A"]:
        """What the likelihood reads, for every action, given the rewards or action values (`reads`)."""
        return table

    @abstractmethod
    def log_prob(self, values: Float[Tensor, "R B *steps"], batch: Batch) -> Float[Tensor, "R B"]:
        """Log-probability of each sample's label, in nats.

        Args:
            values: `of_actions` at the action taken in each step.
        """


def uniforms(generators: list[torch.Generator], *shape: int) -> Float[Tensor, "R *shape"]:
    """Uniform numbers in [0, 1), each replicate's from its own generator, in float64."""
    return torch.stack([torch.rand(*shape, generator=g, dtype=torch.float64) for g in generators])


def log1mexp(x: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """log(1 - exp(-x)) for x >= 0, accurate and with a finite gradient at both ends (-inf at 0).

    Maechler (2012), "Accurately computing log(1 - exp(-|a|))".
    """
    small = x < 0.6931471805599453
    near = torch.where(small, x, torch.ones_like(x))
    far = torch.where(small, torch.ones_like(x), x)
    return torch.where(small, torch.log(-torch.expm1(-near)), torch.log1p(-torch.exp(-far)))
