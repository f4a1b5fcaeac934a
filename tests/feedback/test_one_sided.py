"""A warning for labels that all say the same."""

from typing import Any

import pytest

from mavrl.feedback.one_sided import one_sided
from mavrl.folder.labels import Label, Segment


def labels(kind: str, answers: list[Any]) -> list[Label]:
    segments = (Segment(0, 0, 5),) * (2 if kind == "preference" else 1)
    scale = (1.0, 5.0) if kind == "rating" else None
    return [Label(str(k), kind, segments, answer, scale) for k, answer in enumerate(answers)]


@pytest.mark.parametrize(
    ("kind", "answers", "said"),
    [
        ("preference", [1, 1, 1], "all 3 preferences choose the second segment"),
        ("preference", ["equal", "equal"], "all 2 preferences are ties"),
        ("rating", [4, 4], "all 2 ratings are 4"),
        ("stop", [None, None], "none of 2 segments was stopped"),
        ("stop", [3, 3], "all 2 segments were stopped at step 3"),
        ("stop", [3, 1], "all 2 segments were stopped: what is good enough"),
    ],
)
def test_labels_of_one_class_are_warned_of(kind: str, answers: list[Any], said: str) -> None:
    lines = one_sided({kind: labels(kind, answers)})
    assert len(lines) == 1
    assert said in lines[0]
    assert "cannot be learned" in lines[0] or "can predict them better" in lines[0]


def test_labels_that_differ_are_not() -> None:
    several = {"preference": [0, 1], "rating": [1, 2], "stop": [None, 2], "demonstration": [None, None]}
    assert one_sided({kind: labels(kind, answers) for kind, answers in several.items()}) == []
    assert one_sided({"rating": labels("rating", [3]), "stop": []}) == []
