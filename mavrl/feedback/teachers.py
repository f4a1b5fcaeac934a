"""Teachers: who answers questions. Simulated ones are likelihoods with the true reward; others write one class."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from mavrl.errors import ConfigurationError
from mavrl.feedback.annotators import Crowd
from mavrl.feedback.base import FeedbackLikelihood
from mavrl.simulation.base import Simulated, Stream
from mavrl.streams import torch_stream
from mavrl.types import Transitions


@dataclass(frozen=True)
class Questions:
    """What a teacher is asked about: segments, pairs of them, or episodes, for each replicate.

    Args:
        kind: of the feedback that is asked for.
        shown: names and steps of what is asked about, with the true reward and regret of each step, which only a
            simulated teacher may read; shape (R, B, ...).
        streams: addresses of each replicate's randomness.
        likelihood: makes the kind's own model of a teacher, with the settings of feedback.<kind> and the truth; None
            where what is shown is the answer, as with demonstrations.
        crowd: makes the kind's own model of several annotators; None where what is shown is the answer.
        known: segments of the configured behaviour that a teacher may be calibrated on, shape (R, C, T): 1,024 where
            its `calibrated` asks for them; None where what is shown is the answer.
    """

    kind: str
    shown: Simulated
    streams: list[Stream]
    likelihood: Callable[[], FeedbackLikelihood] | None = None
    crowd: Callable[[Crowd], FeedbackLikelihood] | None = None
    known: Simulated | None = None


@dataclass(frozen=True)
class Answers:
    """What a teacher says.

    Args:
        labels: of the kind's batch, by the names of its fields, shape (R, B).
        known_to_model: what a model is told of the teacher, by name, shape (R, ...).
        transitions: what the teacher did where that is the answer, in the shape of what was shown; None for what was
            shown.
        skipped: which questions got no answer, shape (R, B): asked and kept, and nothing is learned from them. None
            where all got one.
    """

    labels: dict[str, Tensor] = field(default_factory=dict)
    known_to_model: dict[str, Tensor] = field(default_factory=dict)
    transitions: Transitions | None = None
    skipped: Bool[Tensor, "R B"] | None = None


class Teacher(ABC):
    """Whoever answers questions."""

    @property
    def annotators(self) -> Sequence[str]:
        """Names of those who answer, in the order of their numbers."""
        return ("",)

    @property
    def calibrated(self) -> bool:
        """Whether answers depend on what segments there are: `Questions.known`."""
        return False

    @abstractmethod
    def answer(self, questions: Questions) -> Answers:
        """Labels for all questions. The first n must not depend on how many follow."""

    @property
    def identity(self) -> dict[str, Any]:
        """Which teacher this is, with all its settings: answers are kept under it."""
        return {"class": f"{type(self).__module__}.{type(self).__qualname__}", **vars(self)}


class SimulatedTeacher(Teacher):
    """Samples each label from the kind's likelihood under the truth."""

    @torch.no_grad()
    def answer(self, questions: Questions) -> Answers:
        """Labels drawn from streams of the questions' own."""
        if questions.likelihood is None:
            return Answers()
        likelihood, shown = questions.likelihood(), questions.shown
        values = shown.reward if likelihood.reads == "reward" else shown.regret
        batch = likelihood.sample(values, shown.transitions, label_streams(questions.streams))
        return Answers(batch.labels, likelihood.known_to_model())


class CrowdTeacher(Teacher):
    """Simulated annotators who differ: each label is by one of them, drawn at random.

    Models are told how many there are, whose label is whose, and nothing of what they are like.

    Args:
        good: those who answer as the simulated teacher does.
        random: those who do not look.
        reversed: those who answer the wrong way round; they stop like those who do not look.
        tie: Davidson's nu, how often equal segments are called equal; 0 for never.
        categories: of the scales that raters use, one after the other; empty for that of feedback.rating.
        lag: mean steps between what somebody sees and the stop; 0 for none.

    Raises:
        ConfigurationError: there is nobody.
    """

    def __init__(
        self,
        good: int,
        random: int = 0,
        reversed: int = 0,
        tie: float = 0.0,
        categories: Sequence[int] = (),
        lag: float = 0.0,
    ) -> None:
        if good + random + reversed == 0:
            raise ConfigurationError("teacher.good", good, "is nobody, and so are random and reversed; one is needed")
        self.good, self.random, self.reversed = good, random, reversed
        self.tie, self.categories, self.lag = tie, list(categories), lag

    @property
    def annotators(self) -> Sequence[str]:
        kinds = {"good": self.good, "random": self.random, "reversed": self.reversed}
        return [f"{kind} {number + 1}" for kind, count in kinds.items() for number in range(count)]

    @torch.no_grad()
    def answer(self, questions: Questions) -> Answers:
        """Labels drawn from streams of the questions' own."""
        if questions.crowd is None:
            return Answers()
        reliability = [1.0] * self.good + [0.0] * self.random + [-1.0] * self.reversed
        likelihood = questions.crowd(Crowd(reliability, self.tie, self.categories, self.lag))
        shown = questions.shown
        values = shown.reward if likelihood.reads == "reward" else shown.regret
        batch = likelihood.sample(values, shown.transitions, label_streams(questions.streams))
        return Answers(batch.labels, likelihood.known_to_model())


class ShuffledTeacher(SimulatedTeacher):
    """Answers each question as the simulated teacher would the one before: right labels in the wrong places.

    The frequencies of labels are the simulated teacher's, and nothing tells what a label is about; the first question
    gets the answer to one in which nothing happens. A permutation of all labels would not do: the first n would depend
    on how many follow. Questions are drawn independently of one another where the query is uniform; a rule that asks
    twice about the same would let something through.

    Raises:
        ConfigurationError: it is asked for demonstrations, which have no labels.
    """

    @torch.no_grad()
    def answer(self, questions: Questions) -> Answers:
        """Labels drawn from the likelihood with the true values of the question before."""
        if questions.likelihood is None:
            allowed = f"has no labels of {questions.kind} to shuffle; choose a modality without it"
            raise ConfigurationError("teacher", "shuffled", allowed)
        shown = questions.shown
        reward, regret = (_of_the_one_before(x, shown.transitions.valid) for x in (shown.reward, shown.regret))
        elsewhere = replace(shown, reward=reward, regret=regret)
        return super().answer(replace(questions, shown=elsewhere))


def _of_the_one_before(
    values: Float[Tensor, "R B *steps"], valid: Bool[Tensor, "R B *steps"]
) -> Float[Tensor, "R B *steps"]:
    """The values of the question before each, 0 where it had no step and before the first."""
    real = torch.where(valid, values, torch.zeros_like(values))
    return torch.cat([torch.zeros_like(real[:, :1]), real[:, :-1]], dim=1)


def label_streams(streams: list[Stream]) -> list[torch.Generator]:
    """Where the teacher of each replicate draws its labels from."""
    return [torch_stream(seed, kind, split, "labels") for seed, kind, split in streams]
