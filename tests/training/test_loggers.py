"""What loggers are told of a run besides its curves."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from omegaconf import DictConfig

from mavrl.configuration.settings import RunSettings
from mavrl.storage.files import write_json
from mavrl.training.loggers import policy_curves, run_facts, run_name


@pytest.fixture
def settings(default: DictConfig) -> RunSettings:
    return RunSettings.from_config(default)


def test_a_trial_has_a_name_of_its_own(settings: RunSettings, composed: Any) -> None:
    assert run_name(settings) == "grid_trap-pdrs-0"
    names = {
        run_name(RunSettings.from_config(composed("study=mine", f"search.trial={trial}", "optim.lr=0.02")))
        for trial in (3, 4)
    }
    assert names == {"grid_trap-pdrs-mine-trial3", "grid_trap-pdrs-mine-trial4"}


def test_where_a_run_is_and_which_it_is(settings: RunSettings, tmp_path: Path) -> None:
    assert run_facts(settings, tmp_path) == {"run_directory": str(tmp_path)}
    write_json(tmp_path / "status.json", {"state": "running", "config_hash": "abc"})
    trial = replace(settings, execution=replace(settings.execution, study="mine", trial=0))
    assert run_facts(trial, tmp_path) == {
        "run_directory": str(tmp_path), "config_hash": "abc", "study": "mine", "trial": 0
    }  # fmt: skip


def test_curves_of_policies_in_the_order_of_their_replicates(tmp_path: Path) -> None:
    assert policy_curves(tmp_path) == []
    for k in (0, 2, 10):
        (tmp_path / f"policies/{k}").mkdir(parents=True)
        (tmp_path / f"policies/{k}/curve.csv").write_text(f"step,true_return,seconds\n8,{k},1.5\n")
    assert [rows[0]["true_return"] for rows in policy_curves(tmp_path)] == [0, 2, 10]
