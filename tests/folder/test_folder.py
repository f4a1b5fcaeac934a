"""Feedback folders as a whole."""

import json
from pathlib import Path

import gymnasium
import pytest

from mavrl.folder.faults import FolderFault
from mavrl.folder.folder import FeedbackFolder

A, B = {"episode": 0, "start": 2, "stop": 7}, {"episode": 1, "start": 0, "stop": 20}
SPACES = gymnasium.spaces.Discrete(4), gymnasium.spaces.Discrete(2)


def test_labels_come_back_in_order(folder: FeedbackFolder) -> None:
    first = folder.add("preference", segments=[A, B], choice=0, annotator="ann")
    rest = folder.add_all([{"type": "demonstration", "episode": 2}, {"type": "stop", "segment": A, "step": None}])
    found = FeedbackFolder.open(folder.path).labels()
    assert [label.id for label in found] == [first, *rest]
    assert [label.line for label in found] == [1, 2, 3]
    assert all(label.time for label in found)


def test_a_correction_takes_the_place_of_what_it_corrects(folder: FeedbackFolder) -> None:
    first = folder.add("preference", segments=[A, B], choice=0)
    folder.add("demonstration", episode=0)
    second = folder.add("preference", segments=[A, B], choice=1, replaces=first)
    third = folder.add("preference", segments=[A, B], choice="skip", replaces=second)
    found = folder.labels()
    assert [(label.id, label.answer) for label in found] == [(third, "skip"), (found[1].id, None)]
    fourth = folder.add("preference", segments=[A, B], choice="equal", replaces=first)  # somebody else's, at once
    assert folder.labels()[0].id == fourth


def test_a_summary_counts(folder: FeedbackFolder) -> None:
    first = folder.add("preference", segments=[A, B], choice=0, annotator="zoe")
    folder.add("preference", segments=[A, B], choice=1, annotator="ann", replaces=first)
    folder.add("rating", segment=A, value=1, scale=[0, 1], annotator="bob")
    summary = folder.validate()
    assert (summary.episodes, summary.steps, summary.corrected) == (3, 60, 1)
    assert summary.labels == {"preference": 1, "rating": 1}
    assert summary.annotators == ("ann", "bob")


def _line(**changed: object) -> str:
    return json.dumps({"id": "a", "type": "stop", "segment": A, "step": None, **changed}) + "\n"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (_line() + _line(), "line 2: id a stands twice"),
        (_line(replaces="b"), "line 1: replaces b, which no earlier line has"),
        (_line(replaces="a"), "line 1: replaces a, which no earlier line has"),  # a cycle of one
        (_line(replaces="b") + _line(id="b", replaces="a"), "line 1: replaces b, which no earlier line has"),
        (_line(segment={**A, "stop": 11}), "line 1: stop is 11; episode 0 has 10 steps"),
        (_line(segment={**A, "episode": 3}), "line 1: is about episode 3; the folder has 3"),
        (_line(step=7), "line 1: step is 7"),
    ],
)
def test_labels_that_do_not_fit_are_named(content: str, said: str, folder: FeedbackFolder) -> None:
    (folder.path / "feedback.jsonl").write_text(content, encoding="utf-8")
    with pytest.raises(FolderFault, match=said) as raised:
        folder.validate()
    assert str(raised.value).startswith(f"data={folder.path}: feedback.jsonl, ")


def test_nothing_bad_can_be_added(folder: FeedbackFolder) -> None:
    with pytest.raises(FolderFault, match="a new label cannot be added: choice is 7"):
        folder.add_all(
            [{"type": "demonstration", "episode": 0}, {"type": "preference", "segments": [A, B], "choice": 7}]
        )
    assert folder.labels() == []


def test_a_folder_is_made_only_where_nothing_is(tmp_path: Path) -> None:
    made = FeedbackFolder.create(tmp_path / "new", *SPACES)
    assert made.labels() == []
    with pytest.raises(FolderFault, match="not empty"):
        FeedbackFolder.create(tmp_path / "new", *SPACES)
    with pytest.raises(FolderFault, match="no such folder"):
        FeedbackFolder.open(tmp_path / "old")
    with pytest.raises(FolderFault, match=r"episodes/main_data\.hdf5: is missing"):
        made.validate()


def test_states_can_be_numbers(tmp_path: Path) -> None:
    made = FeedbackFolder.create(tmp_path / "new", *SPACES, {"option": "grid_trap"})
    made.add_episode([0, 3, 2], [1, 0], [0.0, 1.0], terminated=True)
    assert made.episodes().observations.tolist() == [0, 3, 2]
    with pytest.raises(FolderFault, match=r"observations\[1\] has 4; must be from 0 to 3"):
        made.add_episode([0, 4, 2], [1, 0])
