"""Finding and reading the cells of studies, whose journals are made with Optuna alone."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState

from mavrl.errors import ConfigurationError
from mavrl.search.reading import find_cells, study_names
from mavrl.search.record import ASKED, IDENTITY
from mavrl.search.storage import open_storage
from mavrl.storage.files import write_json
from tests.fixtures.runs import metrics_of

ABOUT = {
    "metric": "regret", "direction": "minimize", "command": [], "space": {"parameters": {"x": "0 to 1"}},
    "fixed": {"seed": 0, "replicates": 3},
}  # fmt: skip


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., optuna.Study]:
    """A study with these values of regret, None for a failed trial, in its own journal or in a given storage."""

    def make(
        name: str,
        values: list[float | None],
        storage: str | None = None,
        begun: bool = True,
        failed: list[int] | None = None,
    ) -> optuna.Study:
        opened = open_storage(storage or str(tmp_path / "studies" / name / "journal.log"), create=True)
        study = optuna.create_study(study_name=name, storage=opened, direction="minimize")
        if begun:
            _, env, modality = name.rsplit("/", 2)
            study.set_user_attr(IDENTITY, {**ABOUT, "env": env, "modality": modality})
            study.set_user_attr(ASKED, 9)
        for value in values:
            trial = study.ask()
            if value is None:
                trial.set_user_attr("error", "TrainingError: x")
                study.tell(trial, state=TrialState.FAIL)
                continue
            trial.set_user_attr("run_directory", f"{tmp_path}/studies/{name}/run{trial.number}")
            trial.set_user_attr("final", {"regret": [value, value, 7.0], "normalized_return": [90.0, 80.0, 0.0]})
            if failed is not None:
                trial.set_user_attr("failed_replicates", failed)
            study.tell(trial, value)
        return study

    return make


def _confirm(folder: Path, trial: int, **more: Any) -> None:
    numbers = {"value": 0.5, "stderr": 0.1, "seeds": [100, 101], "final": {"regret": [0.4, 0.6]}}
    write_json(folder / "confirmed.json", {"trial": trial, **numbers, "run_directory": str(folder / "again"), **more})


def test_cells_are_found_by_study_environment_and_subset(make: Callable, tmp_path: Path) -> None:
    for name in ("one/grid_trap/p", "one/grid_trap/pd", "one/grid_cliff/p", "one2/grid_trap/p", "deep/er/grid_trap/p"):
        make(name, [1.0])
    root = tmp_path / "studies"

    def found(**asked: Any) -> list[str]:
        return sorted(cell.record.name for cell in find_cells(root, "one", **asked))

    assert study_names(root) == ["deep/er", "one", "one2"]
    assert [cell.record.name for cell in find_cells(root, "deep/er")] == ["deep/er/grid_trap/p"]
    assert found() == ["one/grid_cliff/p", "one/grid_trap/p", "one/grid_trap/pd"]
    assert found(env="grid_trap") == ["one/grid_trap/p", "one/grid_trap/pd"]
    assert found(modality="p") == ["one/grid_cliff/p", "one/grid_trap/p"]
    assert found(env="grid_trap", modality="pd") == ["one/grid_trap/pd"]


def test_a_shared_storage_has_the_cells_of_all_studies(make: Callable, tmp_path: Path) -> None:
    for place in (str(tmp_path / "shared.log"), f"sqlite:///{tmp_path}/shared.db"):
        for name in ("one/grid_trap/p", "one/grid_trap/pd", "one2/grid_cliff/p"):
            make(name, [1.0], place)
        cells = find_cells(tmp_path / "studies", "one", place, modality="pd")
        assert [cell.record.name for cell in cells] == ["one/grid_trap/pd"]
        assert cells[0].folder == tmp_path / "studies/one/grid_trap/pd"
        assert study_names(tmp_path / "studies", place) == ["one", "one2"]
        with pytest.raises(ConfigurationError, match=r"it has grid_trap p, grid_trap pd$"):
            find_cells(tmp_path / "studies", "one", place, env="grid_cliff")


def test_what_is_not_there_is_named_and_nothing_is_made(make: Callable, tmp_path: Path) -> None:
    make("one/grid_trap/p", [1.0])
    root, before = tmp_path / "studies", sorted(tmp_path.rglob("*"))
    with pytest.raises(ConfigurationError, match=r"study=two: .*there are: one$"):
        find_cells(root, "two")
    with pytest.raises(ConfigurationError, match=r"env=grid_cliff: study one has no such cell; it has grid_trap p$"):
        find_cells(root, "one", env="grid_cliff")
    with pytest.raises(ConfigurationError, match=r"modality=d: "):
        find_cells(root, "one", modality="d")
    with pytest.raises(ConfigurationError, match=r"search\.storage=sqlite"):
        find_cells(root, "one", f"sqlite:///{tmp_path}/none.db")
    with pytest.raises(ConfigurationError, match="there are: none"):
        find_cells(tmp_path / "nowhere", "one")
    assert sorted(tmp_path.rglob("*")) == before


def test_reading_in_the_middle_of_a_line_changes_nothing(make: Callable, tmp_path: Path) -> None:
    make("one/grid_trap/p", [2.0, 1.0, None])
    journal = tmp_path / "studies/one/grid_trap/p/journal.log"
    with journal.open("a") as file:
        file.write('{"op_code":4,"worker_')
    before = {path: (path.stat().st_mtime_ns, path.is_file() and path.read_bytes()) for path in tmp_path.rglob("*")}
    record = find_cells(tmp_path / "studies", "one")[0].record
    assert [trial.state for trial in record.trials] == ["completed", "completed", "failed"]
    assert record.best is not None
    assert (record.best.number, record.asked) == (1, 9)
    assert before == {p: (p.stat().st_mtime_ns, p.is_file() and p.read_bytes()) for p in tmp_path.rglob("*")}


def test_a_study_that_has_hardly_begun_is_left_out(make: Callable, tmp_path: Path) -> None:
    make("one/grid_trap/p", [], begun=False)
    with pytest.raises(ConfigurationError, match="nothing to read yet"):
        find_cells(tmp_path / "studies", "one")
    make("one/grid_trap/d", [1.0])
    (tmp_path / "studies/one/grid_trap/r").mkdir()
    (tmp_path / "studies/one/grid_trap/r/journal.log").touch()
    assert [cell.record.modality for cell in find_cells(tmp_path / "studies", "one")] == ["d"]


def test_a_confirmation_counts_while_its_trial_is_the_best(make: Callable, tmp_path: Path) -> None:
    study = make("one/grid_trap/p", [2.0, 1.0])

    def cell() -> Any:
        return find_cells(tmp_path / "studies", "one")[0]

    folder = cell().folder
    assert cell().confirmation is None
    assert not cell().is_confirmed
    _confirm(folder, 1)
    assert cell().is_confirmed
    assert cell().confirmation.seeds == (100, 101)
    better = study.ask()
    study.tell(better, 0.5)
    assert not cell().is_confirmed
    assert cell().confirmation.trial == 1


@pytest.mark.parametrize("content", ["", "[]", '{"trial": 1}', '{"trial": 1, "value": 1, "seeds": 3, "final": {}}'])
def test_a_damaged_confirmation_is_none(content: str, make: Callable, tmp_path: Path) -> None:
    make("one/grid_trap/p", [2.0])
    (tmp_path / "studies/one/grid_trap/p/confirmed.json").write_text(content)
    assert find_cells(tmp_path / "studies", "one")[0].confirmation is None


def test_failed_replicates_are_left_out_also_after_a_move(make: Callable, tmp_path: Path) -> None:
    make("one/grid_trap/p", [2.0])
    folder = tmp_path / "studies/one/grid_trap/p"
    numbers = {"regret": [1.0, 1.0, 1.0]}
    write_json(folder / "run0/metrics.json", metrics_of(numbers, failed_replicates=[2]))
    write_json(folder / "again/metrics.json", metrics_of(numbers, failed_replicates=[0]))
    _confirm(folder, 0, run_directory=str(folder / "again"))
    (tmp_path / "studies").rename(tmp_path / "elsewhere")
    cell = find_cells(tmp_path / "elsewhere", "one")[0]
    best = cell.record.best
    assert best is not None
    assert cell.values(best) == {"regret": [2.0, 2.0], "normalized_return": [90.0, 80.0]}
    assert cell.directory(best) == tmp_path / "elsewhere/one/grid_trap/p/run0"
    assert cell.confirmation is not None
    assert cell.confirmation.final == {"regret": [0.6]}
    assert json.loads((cell.folder / "confirmed.json").read_text())["final"] == {"regret": [0.4, 0.6]}


def test_failed_replicates_are_left_out_also_without_run_directories(make: Callable, tmp_path: Path) -> None:
    make("one/grid_trap/p", [2.0], failed=[2])
    _confirm(tmp_path / "studies/one/grid_trap/p", 0, failed_replicates=[1])
    (cell,) = find_cells(tmp_path / "studies", "one")
    assert cell.values(cell.record.trials[0]) == {"regret": [2.0, 2.0], "normalized_return": [90.0, 80.0]}
    assert cell.confirmation is not None
    assert cell.confirmation.final == {"regret": [0.4]}


def test_where_nothing_says_which_replicates_failed_there_are_no_numbers(make: Callable, tmp_path: Path) -> None:
    """Studies of earlier versions left that to the run directories."""
    make("one/grid_trap/p", [2.0])
    _confirm(tmp_path / "studies/one/grid_trap/p", 0)
    (cell,) = find_cells(tmp_path / "studies", "one")
    assert cell.values(cell.record.trials[0]) == {}
    assert cell.confirmation is not None
    assert (cell.confirmation.value, cell.confirmation.final) == (0.5, {})


@pytest.mark.parametrize("key", ["trial", "value", "stderr", "seeds", "final", "run_directory", "failed_replicates"])
def test_a_confirmation_of_another_form_is_none(key: str, make: Callable, tmp_path: Path) -> None:
    make("one/grid_trap/p", [2.0])
    for wrong in ("text", {"a": 3}, [["x"]], True):
        _confirm(tmp_path / "studies/one/grid_trap/p", **{"trial": 0, key: wrong})
        confirmation = find_cells(tmp_path / "studies", "one")[0].confirmation
        assert confirmation is None or (key, wrong) == ("run_directory", "text")
