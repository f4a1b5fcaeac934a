"""What loggers are told of a run besides its curves."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from omegaconf import DictConfig

from mavrl.configuration.settings import RunSettings
from mavrl.storage.files import write_json
from mavrl.storage.sweeps import PlannedRun, record_sweep
from mavrl.training.loggers.conclusion import conclusion_of, policy_curves
from mavrl.training.loggers.naming import group_name, job_type, run_facts, run_name, tags
from tests.fixtures.runs import metrics_of


@pytest.fixture
def settings(default: DictConfig) -> RunSettings:
    return RunSettings.from_config(default)


def test_a_trial_has_a_name_of_its_own_and_belongs_to_its_study(
    settings: RunSettings, composed: Any, tmp_path: Path
) -> None:
    assert run_name(settings, tmp_path) == group_name(settings, tmp_path) + "-0" == "grid_trap-pdrs-0"
    trials = [
        RunSettings.from_config(composed("study=mine", f"search.trial={trial}", "optim.lr=0.02")) for trial in (3, 4)
    ]
    assert [run_name(trial, tmp_path) for trial in trials] == [
        "grid_trap-pdrs-mine-trial3", "grid_trap-pdrs-mine-trial4"
    ]  # fmt: skip
    assert {group_name(trial, tmp_path) for trial in trials} == {"mine"}
    confirming = RunSettings.from_config(composed("task=confirm", "study=mine", "seed=7"))
    assert run_name(confirming, tmp_path) == "grid_trap-pdrs-mine-confirm-7"
    assert (group_name(confirming, tmp_path), job_type(confirming)) == ("mine", "confirm")


def test_a_run_of_a_sweep_belongs_to_it_and_says_in_what_it_differs(settings: RunSettings, tmp_path: Path) -> None:
    words = [["env=grid_trap", "modality=pdrs", f"optim.lr={lr}", "seed=0", "members=2"] for lr in (0.1, 0.2)]
    planned = [PlannedRun(f"grid_trap/pdrs/{k}", own) for k, own in enumerate(words)]
    record = record_sweep(tmp_path, "run.py -m", planned)
    directory = tmp_path / "grid_trap/pdrs/1"
    assert run_name(settings, directory) == "grid_trap-pdrs-0 optim.lr=0.2"
    assert group_name(settings, directory) == f"sweep {record.stem}"
    assert group_name(settings, tmp_path / "grid_trap/pdrs/2") == "grid_trap-pdrs"
    named = replace(settings, execution=replace(settings.execution, logger={"name": "wandb", "group": "mine"}))
    assert group_name(named, directory) == "mine"


def test_a_run_is_found_by_what_it_is(settings: RunSettings, composed: Any) -> None:
    protocol = {"objective": "elbo", "long": "x" * 100}
    found = tags(settings, {"protocol": protocol})
    assert found[:3] == ["grid_trap", "pdrs", "objective=elbo"]
    assert max(map(len, found)) <= 64
    own = replace(settings.execution, logger={"name": "wandb", "tags": ["mine", "pdrs"]})
    assert tags(replace(settings, execution=own), {}) == ["grid_trap", "pdrs", "mine"]
    assert job_type(settings) == "train"
    online = RunSettings.from_config(composed("task=online", "modality=p"))
    assert job_type(online) == "online"
    assert job_type(replace(online, execution=replace(online.execution, task="transfer"))) == "transfer"


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


def test_what_is_known_at_the_end_has_names(tmp_path: Path) -> None:
    held_out = {"labels": 4, "episodes": 2, "better": True, "mean": {"gain": 0.5}, "stderr": {"gain": 0.1}}
    rounds = [{"round": 1.0, "labels_preference": 4.0}, {"round": 2.0, "labels_preference": 4.0, "epic_distance": 0.5}]
    metrics = metrics_of(
        {"regret": [1.0, 3.0]},
        n_samples={"preference": 7, "rating": 0},
        held_out={"folds": 2, "kinds": {"preference": held_out}},
        annotators=[{"name": "ann", "labels": {"preference": 7}, "learned": {}}],
        rounds=rounds,
        config_hash="abc",
    )
    for name in ("rewards", "training", "losses"):
        (tmp_path / "figures").mkdir(exist_ok=True)
        (tmp_path / f"figures/{name}.png").touch()
    found = conclusion_of(tmp_path, metrics)
    assert found.numbers == {
        "final/regret": 2.0, "final/regret_stderr": 0.5, "held_out/preference/gain": 0.5,
        "held_out/preference/gain_stderr": 0.1, "data/preference": 7, "seconds/total": 1.0,
    }  # fmt: skip
    assert list(found.pictures) == ["train/losses", "evaluation/rewards", "policy/training"]
    assert found.tables["evaluation/replicates"].rows == [[0, 1.0], [1, 3.0]]
    assert found.tables["evaluation/metrics"].rows == [["regret", 2.0, 0.5, "return"]]
    assert found.tables["data/annotators"].rows == [["ann", 7, 0]]
    assert found.tables["rounds/rounds"].rows == [[1.0, 4.0, None], [2.0, 4.0, 0.5]]
    assert found.metadata["config_hash"] == "abc"
    assert (found.model, found.card) == (None, "")
    (tmp_path / "reward_model").mkdir()
    (tmp_path / "reward_model/README.md").write_text("---\ntags: [a]\n---\n\n# Reward model\n\n---\n")
    assert conclusion_of(tmp_path, metrics).card == "# Reward model\n\n---"
