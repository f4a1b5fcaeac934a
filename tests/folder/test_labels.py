"""Labels, read strictly."""

from typing import Any

import pytest

from mavrl.folder.labels import BadLabel, Segment, check_place, label_of, line_of

A, B = {"episode": 0, "start": 2, "stop": 7}, {"episode": 1, "start": 0, "stop": 9}
PREFERENCE = {"id": "x", "type": "preference", "segments": [A, B], "choice": 1}
RATING = {"id": "x", "type": "rating", "segment": A, "value": 3, "scale": [1, 5]}
STOP = {"id": "x", "type": "stop", "segment": A, "step": 4}
EPISODE = {"id": "x", "type": "demonstration", "episode": 3}
PART = {"id": "x", "type": "demonstration", "segment": B}


@pytest.mark.parametrize(
    "line",
    [
        PREFERENCE,
        {**PREFERENCE, "choice": "equal"},
        {**PREFERENCE, "choice": "skip", "annotator": "ann", "session": "s", "tool": "t", "time": 12.5},
        RATING,
        {**RATING, "value": -0.5, "scale": [-1, 1.5], "replaces": "w"},
        STOP,
        {**STOP, "step": None},
        EPISODE,
        PART,
    ],
)
def test_a_label_and_its_line_say_the_same(line: dict[str, Any]) -> None:
    label = label_of(line, 5)
    assert label.line == 5
    assert line_of(label) == line


def test_fields_have_their_meaning() -> None:
    label = label_of({**PREFERENCE, "annotator": "ann", "time": "1970-01-01T00:01:00+00:00", "extra": {"age": 7}})
    assert label.segments == (Segment(0, 2, 7), Segment(1, 0, 9))
    assert (label.answer, label.annotator, label.time) == (1, "ann", 60.0)
    assert label_of(EPISODE).segments == (Segment(3, 0, None),)


BAD = {
    "no object": ([1], "is a list"),
    "no type": ({"id": "x"}, "type is not there"),
    "another type": ({**PREFERENCE, "type": "ranking"}, "must be preference, rating, stop or demonstration"),
    "no id": ({key: x for key, x in PREFERENCE.items() if key != "id"}, "id is not there"),
    "a number as id": ({**PREFERENCE, "id": 3}, "id is 3"),
    "an empty id": ({**PREFERENCE, "id": ""}, "id is ''"),
    "a wrong field": ({**PREFERENCE, "choise": 1}, r"choise is no field of a preference \(did you mean choice"),
    "a field of another type": ({**PREFERENCE, "value": 1}, "value is no field of a preference"),
    "annotator": ({**PREFERENCE, "annotator": 7}, "annotator is 7; must be a text"),
    "time": ({**PREFERENCE, "time": "yesterday"}, "time is 'yesterday'"),
    "negative time": ({**PREFERENCE, "time": -1}, "time is -1"),
    "replaces": ({**PREFERENCE, "replaces": 1}, "replaces is 1; must be a text"),
    "extra": ({**PREFERENCE, "extra": 1}, "extra is 1; must be an object"),
    "one segment": ({**PREFERENCE, "segments": [A]}, "must be two segments"),
    "no choice": ({"id": "x", "type": "preference", "segments": [A, B]}, "choice is not there"),
    "choice 2": ({**PREFERENCE, "choice": 2}, 'choice is 2; must be 0, 1, "equal" or "skip"'),
    "choice true": ({**PREFERENCE, "choice": True}, "choice is true"),
    "choice null": ({**PREFERENCE, "choice": None}, "choice is null"),
    "a segment without stop": ({**PREFERENCE, "segments": [A, {"episode": 0, "start": 1}]}, r"segments\[1\]"),
    "an empty segment": ({**PREFERENCE, "segments": [A, {**B, "stop": 0}]}, "start below stop"),
    "a negative start": ({**PREFERENCE, "segments": [A, {**B, "start": -1}]}, "at least 0"),
    "a fraction": ({**PREFERENCE, "segments": [A, {**B, "stop": 2.5}]}, "whole numbers"),
    "no scale": ({"id": "x", "type": "rating", "segment": A, "value": 3}, "scale is not there"),
    "a scale of one": ({**RATING, "scale": [1, 1]}, "two numbers in order"),
    "off the scale": ({**RATING, "value": 6}, "value is 6; must be a number from 1 to 5"),
    "a text as value": ({**RATING, "value": "good"}, "value is 'good'"),
    "NaN": ({**RATING, "value": float("nan")}, "value is nan"),
    "no step": ({"id": "x", "type": "stop", "segment": A}, "step is not there"),
    "a step after the end": ({**STOP, "step": 5}, "0 to 4, or null"),
    "a demonstration of nothing": ({"id": "x", "type": "demonstration"}, "either an episode or a segment"),
    "a demonstration of two": ({**EPISODE, "segment": A}, "either an episode or a segment"),
    "episode -1": ({**EPISODE, "episode": -1}, "episode is -1"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_label_is_refused(name: str) -> None:
    line, said = BAD[name]
    with pytest.raises(BadLabel, match=said):
        label_of(line)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ({**EPISODE, "episode": 2}, "is about episode 2; the folder has 2, from 0"),
        ({**RATING, "segment": {**A, "stop": 11}}, "stop is 11; episode 0 has 10 steps"),
    ],
)
def test_a_label_about_what_is_not_there_is_refused(line: Any, said: str) -> None:
    check_place(label_of(PREFERENCE), [10, 9])
    with pytest.raises(BadLabel, match=said):
        check_place(label_of(line), [10, 9])
