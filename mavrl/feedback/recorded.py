"""Feedback folders as questions with their answers: what was recorded in place of simulator and simulated teacher."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from mavrl.errors import ConfigurationError
from mavrl.feedback.teachers import Answers, Questions, Teacher
from mavrl.folder.agreement import annotators_of
from mavrl.folder.episodes import Episodes
from mavrl.folder.labels import Label
from mavrl.folder.usable import RatingScale, is_used, rating_scales
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
        self._annotators = sorted({label.annotator for each in labels.values() for label in each})
        self._scales = rating_scales(labels.get("rating", ()))

    @property
    def annotators(self) -> Sequence[str]:
        return self._annotators

    @property
    def agreements(self) -> dict[str, dict[str, dict[str, int]]]:
        """How often each annotator was asked what another one was asked, too, and agreed, by name."""
        every = [label for labels in self._labels.values() for label in labels]
        described = (each.described() for each in annotators_of(every))
        return {each["name"]: {whom: each[whom] for whom in ("others", "again")} for each in described}

    @property
    def n_categories(self) -> int:
        """Categories of the scale with most of them; 0 where there are no ratings."""
        return max((len(scale.starts) for scale in self._scales), default=0)

    @property
    def identity(self) -> dict[str, Any]:
        return {"class": f"{type(self).__module__}.{type(self).__qualname__}", "digest": self.digest}

    def answer(self, questions: Questions) -> Answers:
        """The recorded answers about the first segments, the same for all replicates."""
        kind, shape = questions.kind, questions.shown.transitions.valid.shape
        labels = self._labels[kind][: shape[1]]
        answers = _ANSWERS[kind](labels, shape[-1], self._scales)
        if kind != "demonstration":
            answers["annotator"] = [self._annotators.index(label.annotator) for label in labels]
        columns = {name: torch.tensor(values).repeat(shape[0], 1) for name, values in answers.items()}
        told = {name: torch.tensor(value).repeat(shape[0]) for name, value in self._told.get(kind, {}).items()}
        return Answers(columns, {**told, **self._known(kind, shape[0])})

    def _known(self, kind: str, n_replicates: int) -> dict[str, Tensor]:
        """What models are told of all labels of a kind: how many annotators, ties, and which scales."""
        known: dict[str, Any] = {} if kind == "demonstration" else {"annotators": len(self._annotators)}
        if kind == "preference":
            known["ties"] = int(any(label.answer == "equal" for label in self._labels[kind]))
        if kind == "rating":
            known["categories"] = [len(scale.starts) for scale in self._scales]
        return {name: torch.tensor(value)[None].repeat_interleave(n_replicates, 0) for name, value in known.items()}


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


# Answers of each kind, by the fields of its batch, one for each label; of segments with T steps -----------------------

_Columns = dict[str, list]


def _preferences(labels: Sequence[Label], n_steps: int, scales: Sequence[RatingScale]) -> _Columns:
    answers = [label.answer for label in labels]
    return {"first_preferred": [each == 0 for each in answers], "equal": [each == "equal" for each in answers]}


def _ratings(labels: Sequence[Label], n_steps: int, scales: Sequence[RatingScale]) -> _Columns:
    number = {(scale.low, scale.high): index for index, scale in enumerate(scales)}
    of_each = [number[label.scale] for label in labels]  # type: ignore[index]
    values = [float(label.answer) for label in labels]  # type: ignore[arg-type]
    categories = [scales[index].category(value) for index, value in zip(of_each, values, strict=True)]
    return {"rating": categories, "scale": of_each}


def _stops(labels: Sequence[Label], n_steps: int, scales: Sequence[RatingScale]) -> _Columns:
    return {"stop_step": [n_steps if label.answer is None else int(label.answer) for label in labels]}


def _demonstrations(labels: Sequence[Label], n_steps: int, scales: Sequence[RatingScale]) -> _Columns:
    return {}


_ANSWERS: dict[str, Callable[[Sequence[Label], int, Sequence[RatingScale]], _Columns]] = {
    "preference": _preferences,
    "demonstration": _demonstrations,
    "rating": _ratings,
    "stop": _stops,
}
