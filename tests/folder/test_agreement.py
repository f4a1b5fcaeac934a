"""Who agrees with whom, counted by hand."""

from typing import Any

from mavrl.folder.agreement import annotators_of
from mavrl.folder.labels import Label, Segment

A, B, C = Segment(0, 0, 5), Segment(1, 0, 5), Segment(1, 2, 7)


def _pair(who: str, first: Segment, second: Segment, choice: Any) -> Label:
    return Label("x", "preference", (first, second), choice, annotator=who)


def _rating(who: str, value: float, high: float) -> Label:
    return Label("x", "rating", (A,), value, (1, high), annotator=who)


def test_a_pair_is_the_same_whichever_segment_came_first() -> None:
    ann, bob = annotators_of([_pair("bob", B, A, 1), _pair("ann", A, B, 0), _pair("ann", A, C, 0)])
    assert (ann.name, ann.labels, ann.compared, ann.agreed) == ("ann", {"preference": 2}, 1, 1)
    assert (bob.name, bob.labels, bob.compared, bob.agreed) == ("bob", {"preference": 1}, 1, 1)


def test_equal_is_an_answer_and_a_skipped_pair_is_none() -> None:
    labels = [
        _pair("ann", A, B, "equal"),
        _pair("bob", B, A, "equal"),
        _pair("cy", A, B, 1),
        _pair("dee", A, B, "skip"),
    ]
    counts = {each.name: (each.agreed, each.compared) for each in annotators_of(labels)}
    assert counts == {"ann": (1, 2), "bob": (1, 2), "cy": (0, 2), "dee": (0, 0)}


def test_who_answers_again_is_compared_with_themselves() -> None:
    (ann,) = annotators_of([_pair("ann", A, B, 0), _pair("ann", B, A, 0), _pair("ann", A, B, 0)])
    assert (ann.repeated, ann.consistent, ann.compared) == (3, 1, 0)


def test_ratings_are_compared_on_one_scale_only() -> None:
    ann, bob = annotators_of([_rating("ann", 2, 5), _rating("bob", 2, 5), _rating("bob", 2, 7)])
    assert (ann.compared, ann.agreed, bob.compared, bob.agreed) == (1, 1, 1, 1)
    assert bob.repeated == 0
