"""What task=study prints, of studies made with Optuna alone."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState

from mavrl.reports.studies import print_cell, print_cells
from mavrl.search.reading import StudyCell
from mavrl.search.record import ASKED, IDENTITY
from mavrl.storage.files import write_json

SPACE = {
    "parameters": {"optim.lr": "0 to 1", "share.rating": "0 to 1"}, "budget": 8, "kinds": ["preference", "rating"],
    "caps": {"rating": 5},
}  # fmt: skip


@pytest.fixture
def cell(tmp_path: Path) -> Callable[..., StudyCell]:
    """A cell whose trials have these values of regret, None for failed ones."""

    def make(values: list[float | None], env: str = "grid_trap", running: int = 0) -> StudyCell:
        study = optuna.create_study(study_name=f"mine/{env}/pr", direction="minimize")
        about = {"env": env, "modality": "pr", "metric": "regret", "direction": "minimize", "command": []}
        study.set_user_attr(IDENTITY, {**about, "space": SPACE, "fixed": {"seed": 0, "replicates": 2}})
        study.set_user_attr(ASKED, 10)
        for value in [*values, *[float("nan")] * running]:
            trial = study.ask()
            trial.suggest_float("optim.lr", 0.25, 0.25)
            trial.suggest_float("share.rating", 0.5, 0.5)
            if value is None:
                trial.set_user_attr("error", f"TrainingError: no finite\nloss {trial.number}")
                study.tell(trial, state=TrialState.FAIL)
            elif value == value:
                final = {"regret": [value - 0.5, value + 0.5], "normalized_return": [100 - value, 98 - value]}
                counts = {"preference": 8 - trial.number, "rating": trial.number, "stop": 0}
                noted = {"final": final, "failed_replicates": [], "n_samples": counts}
                for key, x in {**noted, "run_directory": f"r/{trial.number}"}.items():
                    trial.set_user_attr(key, x)
                study.tell(trial, value)
        return StudyCell(study, tmp_path / "mine" / env / "pr")

    return make


def _printed(capsys: pytest.CaptureFixture[str], show: Callable[..., None], *arguments: Any) -> dict[str, str]:
    """Lines by their first word or words, up to two spaces."""
    show(*arguments)
    lines = capsys.readouterr().out.splitlines()
    return {line.strip().partition("  ")[0]: " ".join(line.split()) for line in lines}


def test_one_cell(cell: Callable[..., StudyCell], capsys: pytest.CaptureFixture[str]) -> None:
    found = _printed(capsys, print_cell, cell([3.0, 1.0, None, 2.0, None, None, None], running=1), {"optim.lr": 0.8})
    assert found["trials"] == "trials 3 completed, 1 running, 4 failed; 7 of 10 asked for have ended"
    assert found["feedback"] == "feedback budget 8 (at most 5 rating), over preference, rating"
    assert found["best"] == "best regret 1, trial 1"
    assert found["confirmed"] == "confirmed not confirmed: searched on the seeds it reports"
    assert found["score"] == "score normalized return 98.0 ± 1.0 over 2 seeds, 0 to 1"
    assert found["allocation"] == "allocation 7 preference, 1 rating"
    assert found["settings"] == "settings optim.lr=0.25"
    assert found["regret of each seed"] == "regret of each seed 0.5 1.5"
    assert [found[k] for k in ("1", "3", "0")] == [
        "1 1 98.0 ± 1.0 7 preference, 1 rating optim.lr=0.25", "3 2 97.0 ± 1.0 5 preference, 3 rating optim.lr=0.25",
        "0 3 96.0 ± 1.0 8 preference optim.lr=0.25",
    ]  # fmt: skip
    assert found["overrides"] == "overrides env=grid_trap modality=pr"
    assert [key for key in found if key in ("0", "1", "3")] == ["1", "3", "0"]
    assert found["optim.lr"].startswith("optim.lr 80 % ━")
    assert found["4 trials failed, the last 3:"]
    assert found["trial 6: TrainingError: no finite loss 6"]
    assert "trial 2: TrainingError: no finite loss 2" not in found
    assert list(found)[-1] == "r/1"


def test_a_cell_without_results(cell: Callable[..., StudyCell], capsys: pytest.CaptureFixture[str]) -> None:
    found = _printed(capsys, print_cell, cell([None]), "not computed from 0 completed trials")
    assert found["best"] == "best no completed trial yet"
    assert "importances: not computed from 0 completed trials" in found
    assert "1 trial failed:" in found


def test_the_confirmed_value_is_told_beside_the_searched_one(
    cell: Callable[..., StudyCell], capsys: pytest.CaptureFixture[str]
) -> None:
    content = {"trial": 1, "value": 4.0, "stderr": 1.0, "seeds": [50, 51], "run_directory": "x"}
    searched = cell([3.0, 1.0])
    write_json(
        searched.folder / "confirmed.json", {**content, "final": {"regret": [3.0, 5.0]}, "failed_replicates": []}
    )
    told = "regret 4 ± 1 over 2 seeds, 50 to 51"
    assert _printed(capsys, print_cell, searched, {"a": 1.0})["confirmed"] == f"confirmed {told}"
    later = _printed(capsys, print_cell, cell([3.0, 1.0, 0.5]), {"a": 1.0})["confirmed"]
    assert later.startswith("confirmed not confirmed: searched on the seeds it reports; trial 1, the best before")
    assert told in later


def test_several_cells(cell: Callable[..., StudyCell], capsys: pytest.CaptureFixture[str]) -> None:
    cells = [cell([2.0, None], running=1), cell([3.0], "grid_cliff"), cell([None], "grid_path")]
    final = {"regret": [6.0, 7.0], "normalized_return": [50.0, 52.0]}
    confirmed = {"trial": 0, "value": 6.5, "stderr": None, "seeds": [50, 51], "final": final, "run_directory": "x"}
    confirmed["failed_replicates"] = []
    write_json(cells[1].folder / "confirmed.json", confirmed)
    found = _printed(capsys, print_cells, "mine", cells)
    assert "study mine: 3 cells, regret to minimize" in found
    assert found["grid_trap"] == "grid_trap pr 1/10 1 1 2 97.0 ± 1.0 searched 8 preference optim.lr=0.25"
    assert found["grid_cliff"] == "grid_cliff pr 1/10 0 0 6.5 51.0 ± 1.0 confirmed 8 preference optim.lr=0.25"
    assert found["grid_path"] == "grid_path pr 0/10 0 1 - -"
