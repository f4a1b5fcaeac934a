"""Trials as plain data: which are equal, and the command line that repeats one."""

import optuna
import pytest

from mavrl.search.record import IDENTITY, StudyRecord, study_record

ABOUT = {"env": "grid_trap", "modality": "pr", "metric": "regret", "direction": "minimize", "space": {}, "fixed": {}}


def record(values: list[float], direction: str = "minimize", command: tuple[str, ...] = ()) -> StudyRecord:
    study = optuna.create_study(study_name="a/b/grid_trap/pr", direction=direction)
    study.set_user_attr(IDENTITY, {**ABOUT, "direction": direction, "command": list(command)})
    for value in values:
        trial = study.ask()
        trial.set_user_attr("overrides", [f"optim.lr={trial.number}"])
        study.tell(trial, value)
    return study_record(study)


@pytest.mark.parametrize("direction", ["minimize", "maximize"])
def test_rounding_errors_decide_nothing(direction: str) -> None:
    found = record([1e-15, -1e-15, 0.0, 1e-16], direction)
    assert [trial.value for trial in found.trials] == [0.0] * 4
    assert [trial.number for trial in found.ranked()] == [0, 1, 2, 3]
    assert found.best is not None
    assert (found.best.number, found.tied) == (0, 4)


def test_the_best_and_those_that_tie_with_it() -> None:
    found = record([0.3, 0.1, 0.2, 0.1 + 1e-12])
    assert [trial.number for trial in found.ranked()] == [1, 3, 2, 0]
    assert found.tied == 2
    assert record([]).tied == 0


def test_a_trial_as_a_command_line() -> None:
    found = record([0.1], command=("replicates=3", "study=x", "search.budget=64", "logger=csv"))
    assert found.study == "a/b"
    assert found.overrides(found.trials[0]) == ["env=grid_trap", "modality=pr", "replicates=3", "optim.lr=0"]
    searched = record([0.1], command=("experiment=equal_budget",))  # which chooses the sweeper of searches
    assert searched.overrides(searched.trials[0])[-1] == "hydra/sweeper=basic"
