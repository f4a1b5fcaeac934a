"""Returns in percent of the same agent's on the true reward."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars
import pytest

from mavrl.reports.export import export_runs
from mavrl.reports.listing import print_runs
from mavrl.reports.relative import relative_returns
from mavrl.storage.index import find_runs

POLICY = {"reward": "lower_bound", "kappa": 2.0, "warm_start": False, "total_steps": 500}


@pytest.fixture
def make(make_run: Callable[..., Path], tmp_path: Path) -> Callable[..., Path]:
    """A run of 2 replicates, by name."""

    def run(name: str, values: list[float], seed: int = 0, evaluation: int = 9, **policy: Any) -> Path:
        config = {"policy": {**POLICY, **policy}, "env": {"name": "e"}, "evaluation": {"episodes": evaluation}}
        place = make_run(f"e/p/{name}", values={"normalized_return": values}, config={**config, "seed": seed})
        path = place / "metrics.json"
        path.write_text(path.read_text().replace('"seed": 0', f'"seed": {seed}'))
        return place

    return run


def _found(root: Path) -> dict[str, tuple[float, float | None] | None]:
    runs = find_runs(root)
    return {run.path.name: each for run, each in zip(runs, relative_returns(runs), strict=True)}


def test_the_mean_over_the_same_seeds_is_divided(make: Any, tmp_path: Path) -> None:
    make("learned", [30.0, 50.0])
    make("later", [30.0, 50.0], seed=1)
    make("beyond", [30.0, 50.0], seed=2)  # seed 3 has no agent on the true reward
    make("true", [80.0, 120.0], reward="true_reward", kappa=5.0)  # which it does not read
    make("true_later", [60.0], seed=2, reward="true_reward")
    found = _found(tmp_path / "runs")
    assert found["learned"] == (pytest.approx(40.0), pytest.approx(10.0))
    assert found["later"] == (pytest.approx(40 / 0.9), pytest.approx(10 / 0.9))
    assert found["beyond"] is found["true"] is found["true_later"] is None


@pytest.mark.parametrize(
    "change", [{"total_steps": 501}, {"evaluation": 8}, {"reward": "positive"}], ids=lambda change: next(iter(change))
)
def test_another_agent_is_no_comparison(change: dict[str, Any], make: Any, tmp_path: Path) -> None:
    make("learned", [30.0, 50.0], **change)
    make("true", [80.0, 120.0], reward="true_reward")
    assert _found(tmp_path / "runs")["learned"] is None


def test_nor_is_one_that_learned_nothing(make: Any, tmp_path: Path) -> None:
    make("learned", [30.0, 50.0])
    make("true", [-80.0, 80.0], reward="true_reward")
    assert _found(tmp_path / "runs")["learned"] is None


def test_tables_have_the_column_where_there_is_such_an_agent(
    make: Any, make_run: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make("learned", [30.0, 50.0])
    make_run("grid_trap/p/exact", values={"normalized_return": [70.0]})  # in which nothing is trained
    root, csv = tmp_path / "runs", tmp_path / "runs.csv"
    print_runs(find_runs(root), root)
    export_runs(find_runs(root), root, csv)
    assert "true reward" not in capsys.readouterr().out
    assert "relative_return" not in csv.read_text()
    make("true", [80.0, 120.0], reward="true_reward")
    print_runs(find_runs(root), root)
    header, *rows = capsys.readouterr().out.splitlines()
    assert "% of true reward" in header
    assert [("40 ± 10" in row) for row in rows] == ["learned" in row for row in rows]
    export_runs(find_runs(root), root, csv)
    table = polars.read_csv(csv)
    values = dict(zip(table["directory"], table["relative_return"], strict=True))
    assert values == {"e/p/learned": pytest.approx(40), "e/p/true": None, "grid_trap/p/exact": None}
