"""The page of a study and of one search in it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest
from PIL import Image

from mavrl.reports.page.study import study_page
from mavrl.reports.page.writing import page_html
from mavrl.search.reading import StudyCell
from mavrl.search.record import ASKED, IDENTITY

ABOUT = {
    "metric": "regret", "direction": "minimize", "fixed": {"seed": 0, "replicates": 2},
    "command": [], "space": {"kinds": ["preference", "rating"], "budget": 4, "parameters": ["optim.lr"]},
}  # fmt: skip


@pytest.fixture
def cell(tmp_path: Path) -> Callable[..., StudyCell]:
    """A search with some completed trials, one that failed, and its folder."""

    def make(modality: str, values: list[float], asked: int) -> StudyCell:
        name = f"mine/grid_trap/{modality}"
        study = optuna.create_study(study_name=name, direction="minimize")
        study.set_user_attr(IDENTITY, {**ABOUT, "env": "grid_trap", "modality": modality})
        study.set_user_attr(ASKED, asked)
        for number, value in enumerate(values):
            directory = tmp_path / name / str(number)
            directory.mkdir(parents=True)
            attributes = {
                "n_samples": {"preference": 1, "rating": 3}, "overrides": [f"optim.lr={value}"],
                "final": {"regret": [value, value], "normalized_return": [100 - value, 101 - value]},
                "failed_replicates": [], "run_directory": str(directory), "seconds": 1.0,
            }  # fmt: skip
            study.add_trial(optuna.trial.create_trial(value=value, user_attrs=attributes))
        attributes = {"error": "TrainingError: <script>broke</script>"}
        study.add_trial(optuna.trial.create_trial(state=optuna.trial.TrialState.FAIL, user_attrs=attributes))
        (tmp_path / name / "figures").mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (800, 400)).save(tmp_path / name / "figures/history.png")
        return StudyCell(study, tmp_path / name)

    return make


def sections(page: Any) -> dict[str, Any]:
    return {section.title: section for section in page.sections if not section.is_empty}


def test_all_searches_of_a_study(cell: Any, tmp_path: Path) -> None:
    cells = [cell("p", [3.0, 1.0], 3), cell("pr", [5.0], 7)]
    page = study_page("mine", cells, {}, tmp_path / "mine", tmp_path / "mine", "made today")
    found = sections(page)
    assert page.summary[0].startswith("A study of 2 searches with 5 trials.")
    assert page.warnings == ["1 search is not finished.", "2 trials failed."]
    (grid,) = found["Cells"].grids
    names = [column.name for column in grid.columns]
    assert names[:4] == ["env", "modality", "run", "files"]
    row = dict(zip(names, grid.rows[0], strict=True))
    assert (row["completed"].text, row["regret"].text, row["state"].text) == ("2/3", "1", "searched")
    assert row["run"].link == "./grid_trap/p/1"
    assert [entry.text for entry in found["Results"].grids[0].rows[0]] == ["grid_trap", "99.5 ± 0.5†", "95.5 ± 0.5†"]
    assert [picture.title for picture in found["Figures of the cells"].pictures] == [
        "grid_trap p history", "grid_trap pr history"
    ]  # fmt: skip
    assert page_html(page).count("<script") == 1


def test_one_search(cell: Any, tmp_path: Path) -> None:
    alone = cell("pr", [3.0, 1.0], 3)
    page = study_page("mine", [alone], {"optim.lr": 0.75, "share.rating": 0.25}, tmp_path, alone.folder, "made today")
    found = sections(page)
    assert page.title == "study mine/grid_trap/pr"
    assert page.warnings == ["1 trial failed."]
    assert found["The search"].facts["run of the best"].link == "./1"
    assert [[entry.text for entry in row] for row in found["Importances"].grids[0].rows] == [
        ["optim.lr", "75"], ["share.rating", "25"]
    ]  # fmt: skip
    assert found["Best trials"].grids[0].rows[0][0].text == "1"
    assert found["What failed"].facts == {"trial 2": "TrainingError: <script>broke</script>"}
    assert [picture.title for picture in found["Figures"].pictures] == ["history"]
    assert page_html(page).count("<script") == 1


def test_before_any_trial_is_completed(cell: Any, tmp_path: Path) -> None:
    alone = cell("pr", [], 3)
    page = study_page("mine", [alone], "it takes 10 trials", tmp_path, alone.folder, "made today")
    assert sections(page)["Results"].sentences == ["No trial has been completed yet."]
    assert sections(page)["Importances"].sentences == ["It takes 10 trials."]
