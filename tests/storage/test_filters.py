"""Filters of the command line: which runs they let through, and what they refuse."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mavrl.errors import ConfigurationError
from mavrl.storage.filters import Filter, matching, matching_planned_runs, read_filters
from mavrl.storage.index import find_runs
from mavrl.storage.sweeps import PlannedRun

GROUPS = {"env", "modality", "experiment", "task", "logger"}
CONFIG = {
    "seed": 3,
    "env": {"size": 4, "perturbation": {"gravity": 9.8}},
    "optim": {"lr": 0.001, "batch_size": None},
    "model": {"hidden_sizes": [64, 32], "standardize": True},
    "choices": {"env": "grid_trap", "modality": "pdrs", "experiment": "paper"},
}


def _holds(*overrides: str) -> bool:
    return all(condition.holds(CONFIG) for condition in read_filters(overrides, GROUPS))


@pytest.mark.parametrize(
    "override",
    [
        "env=grid_trap", "modality=pdrs", "optim.lr=1e-3", "optim.lr=0.001", "seed=3", "seed=3.0", "env.size=4",
        "optim.batch_size=null", "model.hidden_sizes=[64,32]", "model.hidden_sizes=[64.0,32]",
        "model.standardize=true", "env.perturbation={gravity: 9.8}", "experiment=paper", "+seed=3",
    ],
)  # fmt: skip
def test_what_holds(override: str) -> None:
    assert _holds(override)


@pytest.mark.parametrize(
    "override",
    [
        "env=grid_cliff", "modality=pd", "optim.lr=1e-2", "seed=4", "optim.batch_size=3", "model.hidden_sizes=[64]",
        "model.standardize=1", "model.standardize=false", "optim.momentum=null", "env.perturbation={gravity: 1}",
        "model.hidden_sizes=[32,64]", "experiment=reference", "optim.lr.x=1",
    ],
)  # fmt: skip
def test_what_does_not_hold(override: str) -> None:
    assert not _holds(override)


def test_all_conditions_must_hold() -> None:
    assert _holds("env=grid_trap", "seed=3")
    assert not _holds("env=grid_trap", "seed=4")


def test_what_is_no_part_of_a_result_is_no_condition() -> None:
    beside = [
        "task=list", "task.sort=env", "paths.runs=elsewhere", "hydra.run.dir=x", "hydra/launcher=local", "logger=wandb",
        "progress=false", "processes=2", "run_dir=a,b", "++task.x=1", "logger.project=x",
    ]  # fmt: skip
    assert read_filters(beside, GROUPS) == []
    assert read_filters([*beside, "seed=1"], GROUPS) == [Filter("seed", 1, is_group=False)]


@pytest.mark.parametrize("override", ["env=grid_trap,grid_cliff", 'env="grid_trap,grid_cliff"', "seed=range(1,3)"])
def test_several_values_are_refused_with_the_way_out(override: str) -> None:
    with pytest.raises(ConfigurationError, match="one value; give one, or leave the filter out"):
        read_filters([override], GROUPS)


def test_a_deletion_is_no_filter() -> None:
    with pytest.raises(ConfigurationError, match="is no filter"):
        read_filters(["~optim.lr"], GROUPS)


class TestRuns:
    def test_without_filters_all_match(self, make_run: Callable[..., Path], tmp_path: Path):
        make_run("grid_trap/pd/aaa")
        make_run("grid_cliff/pd/bbb")
        assert len(matching(find_runs(tmp_path / "runs"), [])) == 2

    def test_matching_runs(self, make_run: Callable[..., Path], tmp_path: Path):
        make_run("grid_trap/pd/aaa")
        make_run("grid_trap/pd/bbb", config={"seed": 20})
        make_run("grid_cliff/pd/ccc", config={"seed": 20})
        runs = find_runs(tmp_path / "runs")
        names = [run.path.name for run in matching(runs, read_filters(["env=grid_trap", "seed=20"], GROUPS))]
        assert names == ["bbb"]
        assert matching(runs, read_filters(["env=grid_dense"], GROUPS)) == []

    def test_a_key_that_no_run_has_is_refused(self, make_run: Callable[..., Path], tmp_path: Path):
        make_run()
        filters = read_filters(["checkpoint=3"], GROUPS)
        with pytest.raises(ConfigurationError, match=r"^checkpoint=3: none of these 1 runs has this key"):
            matching(find_runs(tmp_path / "runs"), filters)
        assert matching([], filters) == []


def test_planned_runs_match_by_their_directory_and_their_overrides() -> None:
    one = PlannedRun("grid_trap/pd/aaa", ["seed=20", "optim.lr=1e-2"])
    other = PlannedRun("grid_cliff/pd/bbb", ["env=grid_cliff", "modality=pd"])
    odd = PlannedRun("somewhere", ["env=grid_trap", "+env.note='a,b'", "~model.prior", "env.size=4"])
    short = PlannedRun("grid_trap/pd", [])  # of a layout of the user's own
    planned = [one, other, odd, short]

    def names(*overrides: str) -> list[Any]:
        return [run.directory for run in matching_planned_runs(planned, read_filters(overrides, GROUPS), GROUPS)]

    assert names() == [run.directory for run in planned]
    assert names("env=grid_trap") == [one.directory, odd.directory]
    assert names("modality=pd") == [one.directory, other.directory]
    assert names("optim.lr=0.01") == [one.directory]
    assert names("env.size=4.0") == [odd.directory]
    assert names("seed=0") == []
