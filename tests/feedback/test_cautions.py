"""Warnings of labels that all say the same, are by one annotator, or disagree."""

from typing import Any

import pytest

from mavrl.feedback.cautions import cautions, one_sided
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


def _pair(annotator: str, choice: int, number: int = 0) -> Label:
    return Label("x", "preference", (Segment(number, 0, 5), Segment(number + 1, 0, 5)), choice, annotator=annotator)


def test_one_annotator_s_reliability_cannot_be_told() -> None:
    (line,) = cautions({"preference": [_pair("ann", 0), _pair("ann", 1, 2)]})
    assert line.startswith("all labels are by ann: ")
    assert cautions({"preference": [_pair("", 0), _pair("", 1, 2)]}) == []  # nobody says that it is one
    assert cautions({"preference": [_pair("ann", 0), _pair("bob", 1, 2)]}) == []


def test_answers_that_disagree_are_counted() -> None:
    """Three answers to one question are three pairs of answers, two of which disagree."""
    answers = [_pair("ann", 0), _pair("bob", 0), _pair("bob", 1), _pair("ann", 1, 2)]
    (line,) = cautions({"preference": answers})
    assert line.startswith("of 3 pairs of answers to one question 2 disagree")
    assert cautions({"preference": [_pair("ann", 0), _pair("bob", 0), _pair("bob", 1, 2)]}) == []
