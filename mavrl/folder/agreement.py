"""Agreement between annotators who were asked the same."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from mavrl.folder.labels import Label
from mavrl.folder.usable import is_used


@dataclass
class Annotator:
    """What an annotator said, beside others.

    Args:
        name: empty where the folder has none.
        labels: how many there are, by kind.
        compared: how often somebody else answered the same question: about the same pair, or about the same segment
            on the same scale.
        agreed: how often with the same answer.
        repeated: how often the annotator answered the same question again.
        consistent: how often with the same answer.
    """

    name: str
    labels: dict[str, int]
    compared: int = 0
    agreed: int = 0
    repeated: int = 0
    consistent: int = 0

    def described(self) -> dict[str, Any]:
        """The counts as metrics.json has them."""
        return {
            "name": self.name,
            "labels": self.labels,
            "others": {"compared": self.compared, "agreed": self.agreed},
            "again": {"compared": self.repeated, "agreed": self.consistent},
        }


def annotators_of(labels: Sequence[Label]) -> list[Annotator]:
    """All annotators by their names, with what they agree on."""
    found: dict[str, Annotator] = {}
    answers: dict[Hashable, list[tuple[str, Hashable]]] = {}
    for label in labels:
        kinds = found.setdefault(label.annotator, Annotator(label.annotator, {})).labels
        kinds[label.type] = kinds.get(label.type, 0) + 1
        if label.type in ("preference", "rating") and is_used(label):
            question, answer = _answered(label)
            answers.setdefault(question, []).append((label.annotator, answer))
    for given in answers.values():
        for (first, one), (second, other) in combinations(given, 2):
            if first == second:
                found[first].repeated += 1
                found[first].consistent += one == other
                continue
            for name in (first, second):
                found[name].compared += 1
                found[name].agreed += one == other
    return [found[name] for name in sorted(found)]


def _answered(label: Label) -> tuple[Hashable, Hashable]:
    """What a label is about, whichever segment was shown first, and what it says of that."""
    if label.type == "rating":
        return (label.segments, label.scale), label.answer
    keys = [(each.episode, each.start, -1 if each.stop is None else each.stop) for each in label.segments]
    turned = keys[1] < keys[0]
    answer = {0: 1, 1: 0}.get(label.answer, label.answer) if turned else label.answer  # type: ignore[call-overload]
    return tuple(sorted(keys)), answer
