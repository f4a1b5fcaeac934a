"""Feedback folders as questions with their answers: what was recorded in place of simulator and simulated teacher."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from mavrl.errors import ConfigurationError
from mavrl.feedback.teachers import Answers, Questions, Teacher
from mavrl.folder.episodes import Episodes
from mavrl.folder.labels import Label
from mavrl.folder.usable import is_used
from mavrl.simulation.recorded import RecordedBehaviour


class RecordedTeacher(Teacher):
    """Whoever labelled the segments of a feedback folder. Questions are about those segments, in their order.

    Args:
        labels: of each kind, in the order of its recorded segments.
        told: what a model is told of who labelled, by kind and name.
        digest: of the folder.
    """

    def __init__(
        self, labels: Mapping[str, Sequence[Label]], told: Mapping[str, Mapping[str, float]], digest: str
    ) -> None:
        self._labels, self._told = labels, told
        self.digest = digest

    @property
    def identity(self) -> dict[str, Any]:
        return {"class": f"{type(self).__module__}.{type(self).__qualname__}", "digest": self.digest}

    def answer(self, questions: Questions) -> Answers:
        """The recorded answers about the first segments, the same for all replicates."""
        kind, shape = questions.kind, questions.shown.transitions.action.shape
        labels = _ANSWERS[kind](self._labels[kind][: shape[1]], shape[-1])
        told = {name: torch.full((shape[0],), value) for name, value in self._told.get(kind, {}).items()}
        return Answers({name: values.repeat(shape[0], 1) for name, values in labels.items()}, told)


@dataclass(frozen=True)
class RecordedFeedback:
    """The labels of a folder that can be learned from, with the segments that they are about.

    Args:
        behaviour: the segments, in the order of the labels.
        teacher: who gave the labels.
        counts: labels of each kind.
    """

    behaviour: RecordedBehaviour
    teacher: RecordedTeacher
    counts: Mapping[str, int]

    @classmethod
    def from_labels(
        cls, episodes: Episodes, labels: Sequence[Label], told: Mapping[str, Mapping[str, float]], digest: str
    ) -> "RecordedFeedback":
        """The feedback in the labels of all kinds.

        Args:
            episodes: that were recorded.
            told: what a model is told of who labelled, by kind and name.
            digest: of the folder.
        """
        used = {kind: [label for label in labels if label.type == kind and is_used(label)] for kind in _ANSWERS}
        segments = {kind: [each for label in kept for each in label.segments] for kind, kept in used.items()}
        counts = {kind: len(kept) for kind, kept in used.items()}
        return cls(RecordedBehaviour(episodes, segments), RecordedTeacher(used, told, digest), counts)

    def check_counts(self, wanted: Mapping[str, int]) -> None:
        """Refuse to learn from more labels than there are.

        Args:
            wanted: labels by kind.

        Raises:
            ConfigurationError: for the first kind with too few.
        """
        for kind, count in wanted.items():
            there = self.counts.get(kind, 0)
            if count > there:
                allowed = f"the folder has {there} labels of it that can be learned from"
                raise ConfigurationError(f"feedback.{kind}.n_samples", count, allowed)


# Answers of each kind, by the fields of its batch, shape (N,); of segments with T steps -------------------------------


def _preferences(labels: Sequence[Label], n_steps: int) -> dict[str, Tensor]:
    return {"first_preferred": torch.tensor([label.answer == 0 for label in labels])}


def _ratings(labels: Sequence[Label], n_steps: int) -> dict[str, Tensor]:
    return {"rating": torch.tensor([int(label.answer) - int(label.scale[0]) for label in labels])}  # type: ignore


def _stops(labels: Sequence[Label], n_steps: int) -> dict[str, Tensor]:
    steps = [n_steps if label.answer is None else int(label.answer) for label in labels]
    return {"stop_step": torch.tensor(steps)}


def _demonstrations(labels: Sequence[Label], n_steps: int) -> dict[str, Tensor]:
    return {}


_ANSWERS: dict[str, Callable[[Sequence[Label], int], dict[str, Tensor]]] = {
    "preference": _preferences,
    "demonstration": _demonstrations,
    "rating": _ratings,
    "stop": _stops,
}
