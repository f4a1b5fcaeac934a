"""A folder with labels of annotators who differ, from the labels to what is said about each of them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mavrl import FeedbackFolder

pytestmark = pytest.mark.integration

CROWD = (
    "teacher=crowd",
    "teacher.good=2",
    "teacher.random=0",
    "teacher.reversed=1",
    "teacher.tie=0.5",
    "teacher.categories=[3,7]",
)
GRID = ("env=grid_trap", "env.size=4", "env.max_steps=30")
COUNTS = ("feedback.preference.n_samples=24", "feedback.rating.n_samples=18")


@pytest.fixture
def crowd(make_app: Callable[..., Any], tmp_path: Path) -> Any:
    """Runs small jobs in a place where the folder `labels` is."""
    app = make_app(tmp_path, ("trainer.max_epochs=3", "trainer.least_steps=3", "data.folds=2"))
    outcome = app("task=simulate", *GRID, *COUNTS, *CROWD, "modality=pr", "replicates=1", "data=labels", tiny=False)
    assert outcome.status == 0, outcome.err
    return app


def test_a_folder_says_who_labelled_and_who_agrees(crowd: Any) -> None:
    folder = FeedbackFolder.open(crowd.directory / "labels")
    about = [{"episode": number, "start": 0, "stop": 1} for number in range(2)]
    for name, choice in (("ann", 0), ("bob", 0), ("bob", 1)):
        folder.add("preference", segments=about, choice=choice, annotator=name)
    outcome = crowd("task=show", "data=labels", tiny=False)
    lines = outcome.out.splitlines()
    assert lines[0] == "environment: grid_trap"
    assert lines[2] == "labels: 27 preference, 18 rating"
    assert [line.split() for line in lines if line.startswith(("ann", "bob"))][1:] == [
        ["ann", "1", "preference", "1", "of", "2"],
        ["bob", "2", "preference", "1", "of", "2", "0", "of", "1"],
    ]
    assert lines[-1] == "labels"


def test_a_run_says_what_it_has_learned_of_each(crowd: Any) -> None:
    outcome = crowd("data=labels", "replicates=2")
    assert outcome.status == 0, outcome.err
    annotators = outcome.metrics["annotators"]
    assert [each["name"] for each in annotators] == ["good 1", "good 2", "reversed 1"]
    for kind, count in (("preference", 24), ("rating", 18)):
        assert sum(each["labels"][kind] for each in annotators) == count
    assert outcome.metrics["held_out"]["kinds"]["preference"]["labels"] == 24
    shown = crowd("task=show", f"run_dir={outcome.run}", tiny=False).out
    for text in ("preferences by", "ratings by", "right way round", "reversed 1"):
        assert text in outcome.out
        assert text in shown
