"""What every kind of feedback is: a batch of labelled behaviour, and a likelihood that scores labels and samples them.

A likelihood reads one number at each step: the reward, or something that it derives from the action values of the
step's state, such as the regret of the action taken. With a model's values it scores labels for learning; with the
true values and its own parameters it is the simulated teacher. There is one implementation of each formula, used both
ways. `mavrl.feedback.datamodule` asks for feedback and serves it.
"""

from abc import ABC, abstractmethod
from dataclasses import fields
from typing import Any, ClassVar, Generic, Literal, TypeVar

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from mavrl.quadratic import QuadraticValues
from mavrl.types import Tensors, Transitions


class FeedbackBatch(Tensors):
    """Labelled behaviour of one kind. A kind's own class is a frozen dataclass: transitions first, then its labels.

    Args:
        transitions: steps of shape (R, B, ...), arranged as the kind's labels need them.
    """

    kind: ClassVar[str]  # name of the kind
    transitions: Transitions

    @property
    def valid_samples(self) -> Bool[Tensor, "R B"]:
        """Which samples are real; the others fill up replicates that have fewer."""
        valid = self.transitions.valid
        return valid if valid.ndim == 2 else valid.flatten(2).any(-1)

    @property
    def labels(self) -> dict[str, Tensor]:
        """The labels by their names, each of shape (R, B)."""
        names = [field.name for field in fields(self) if field.name != "transitions"]  # type: ignore[arg-type]
        return {name: getattr(self, name) for name in names}

    def fill(self, **dtypes: torch.dtype) -> None:
        """Make labels that were not given zeros of these types."""
        for name, dtype in dtypes.items():
            if getattr(self, name) is None:
                shape, device = self.transitions.valid.shape[:2], self.transitions.action.device
                object.__setattr__(self, name, torch.zeros(shape, dtype=dtype, device=device))

    def check_layout(self, ndim: int) -> None:
        """Refuse transitions that have not so many axes, and labels that are not of shape (R, B).

        Raises:
            ValueError: the shapes do not fit.
        """
        shape = tuple(self.transitions.valid.shape)
        labels = {name: tuple(label.shape) for name, label in self.labels.items()}
        if len(shape) != ndim or any(label != shape[:2] for label in labels.values()):
            raise ValueError(f"{type(self).__name__}: transitions {shape} and labels {labels} do not fit")


Batch = TypeVar("Batch", bound=FeedbackBatch)


class FeedbackLikelihood(nn.Module, ABC, Generic[Batch]):
    """log p(label | what it reads at each step)."""

    reads: ClassVar[Literal["reward", "q"]]
    answers_are_actions: ClassVar[bool] = False  # an answer is the action of a step: `outcomes` reads those of all

    def of_actions(self, table: Float[Tensor, "*batch A"]) -> Float[Tensor, "*batch A"]:
        """What the likelihood reads, for every action, given the rewards or action values (`reads`)."""
        return table

    def of_vectors(self, q: QuadraticValues, action: Float[Tensor, "*batch D"]) -> Float[Tensor, "*batch"]:
        """What the likelihood reads at the action taken, where actions are vectors; a kind that reads Q says it."""
        raise NotImplementedError(f"{type(self).__name__} has no `of_vectors`: it reads Q of numbered actions")

    @abstractmethod
    def log_prob(self, values: Float[Tensor, "R B *steps"], batch: Batch) -> Float[Tensor, "R B"]:
        """Log-probability of each sample's label, in nats.

        Args:
            values: `of_actions` at the action taken in each step.
        """

    def outcomes(self, values: Float[Tensor, "R B *values"], transitions: Transitions) -> Float[Tensor, "R B *Y"]:
        """Log-probability of every possible answer of each sample, in nats: what `log_prob` gives for that label.

        Query rules that look ahead need it; a kind without it can be asked about with `query=random`.

        Args:
            values: `of_actions` at the action taken in each step; where answers are actions, of all actions.

        Returns:
            Y answers, in the order of the label's numbers; where answers are actions, A for each step.

        Raises:
            NotImplementedError: this kind does not say what answers there are.
        """
        raise NotImplementedError(f"{type(self).__name__} has no `outcomes`: its questions can only be asked at random")

    @abstractmethod
    def sample(self, values: Any, transitions: Transitions, generators: list[torch.Generator]) -> Batch:
        """Labels drawn from the likelihood, each replicate's from its own generator.

        Args:
            values: what `log_prob` reads, under the truth; a kind that labels states takes Q of all actions.
        """

    @property
    def n_latents(self) -> int:
        """Standard normal numbers that a draw of what the likelihood learns itself takes, for each model."""
        return 0

    def drawn(self, noise: Float[Tensor, "R L"]) -> "FeedbackLikelihood[Batch]":
        """The likelihood with a draw of what it learns itself; `log_prob` of the likelihood takes the middle of it."""
        return self

    def kl(self) -> Float[Tensor, "R"] | None:
        """KL from its prior of what the likelihood learns itself, in nats; minus the log-prior of point estimates.

        None where nothing has a prior.
        """
        return None

    def learned(self) -> dict[str, Float[Tensor, "R A"]]:
        """What was learned about each annotator, by name, for reports."""
        return {}

    def known_to_model(self) -> dict[str, Tensor]:
        """What a model is told of this teacher, by name, shape (R, ...); nothing unless a kind says otherwise."""
        return {}


class LearnedLikelihood(FeedbackLikelihood[Batch]):
    """A likelihood that learns its own parameters: it says what the one in the middle of what it has learned says."""

    @abstractmethod
    def drawn(self, noise: Float[Tensor, "R L"] | None = None) -> FeedbackLikelihood[Batch]:
        """The likelihood with a draw of the parameters; without noise, with their medians."""

    def log_prob(self, values: Float[Tensor, "R B *steps"], batch: Batch) -> Float[Tensor, "R B"]:
        return self.drawn().log_prob(values, batch)

    def outcomes(self, values: Float[Tensor, "R B *values"], transitions: Transitions) -> Float[Tensor, "R B *Y"]:
        return self.drawn().outcomes(values, transitions)

    def sample(self, values: Any, transitions: Transitions, generators: list[torch.Generator]) -> Batch:
        return self.drawn().sample(values, transitions, generators)


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
