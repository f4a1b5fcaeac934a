"""The interactive page of a search, where plotly is installed."""

from pathlib import Path

import optuna
import pytest

from mavrl.reports.figures.interactive import study_page, thinned, varied_parameters
from mavrl.search.importance import importances
from mavrl.search.record import IDENTITY, StudyRecord, study_record
from mavrl.search.snapshot import snapshot

SPACE = {"parameters": {}, "budget": 8, "kinds": ["preference", "rating"]}


@pytest.fixture
def study() -> optuna.Study:
    """Twelve trials over a learning rate and the division of eight samples, one of them failed, one running."""
    study = optuna.create_study(study_name="mine/grid_<b>/pr", direction="minimize")
    about = {"env": "grid_<b>", "modality": "pr", "metric": "regret", "direction": "minimize", "command": []}
    study.set_user_attr(IDENTITY, {**about, "space": SPACE, "fixed": {}})
    for k in range(14):
        trial = study.ask()
        rate = trial.suggest_float("optim.lr", 1e-3, 1e-1, log=True)
        trial.suggest_float("share.rating", 1e-6, 1.0)
        trial.suggest_categorical("model.hidden_sizes", ["[8]", "[16]"])
        trial.suggest_int("same", 3, 3)
        trial.set_user_attr("n_samples", {"preference": 8 - k % 8, "rating": k % 8})
        if k == 3:
            study.tell(trial, state=optuna.trial.TrialState.FAIL)
        elif k != 13:
            study.tell(trial, rate + 1e-14)
    return study


@pytest.fixture
def record(study: optuna.Study) -> StudyRecord:
    return study_record(study)


def test_a_snapshot_has_counts_for_shares_and_keeps_numbers(study: optuna.Study, record: StudyRecord) -> None:
    copy = snapshot(record, study, {0, 5, 12})
    assert len(copy.trials) == 14
    shown = {trial.number: trial for trial in copy.trials if trial.value is not None}
    assert list(shown) == [0, 5, 12]
    assert shown[5].params["ratings"] == 5
    assert "share.rating" not in shown[5].params
    assert shown[5].value == record.trials[5].value
    assert varied_parameters(copy, {"share.rating": 0.9, "optim.lr": 0.1})[:2] == ["ratings", "optim.lr"]
    assert "same" not in varied_parameters(copy, "none")


def test_long_studies_are_thinned_to_the_best_and_some_of_all_others(record: StudyRecord) -> None:
    best = [trial.number for trial in record.ranked()]
    assert thinned(record, 100) == set(best)
    few = thinned(record, 6)
    assert len(few) == 6
    assert set(best[:3]) <= few


def test_a_page_has_five_figures_and_needs_no_network(study: optuna.Study, record: StudyRecord, tmp_path: Path) -> None:
    pytest.importorskip("plotly")
    page = study_page(record, study, importances(study))
    assert page.count('class="plotly-graph-div"') == 5
    assert "<h1" in page
    assert "grid_&lt;b&gt;" in page
    assert "<b>" not in page.partition("<script")[0]
    assert 'src="http' not in page
    assert "Parallel Coordinate" in page
    few = study_page(record, study, "not computed from 3 completed trials")
    assert few.count('class="plotly-graph-div"') == 4
    assert "not computed from 3" in few
