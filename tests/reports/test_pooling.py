"""Which completed runs make one cell."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mavrl.reports.pooling import pool_runs
from mavrl.storage.index import find_runs


@pytest.fixture
def make(make_run: Callable[..., Path]) -> Callable[..., None]:
    """A completed run with these returns, from a seed on."""

    def make(name: str, seed: int, returns: list[float], config: dict | None = None, **more: Any) -> None:
        own = {"seed": seed, "replicates": len(returns), "env": {"family": "grid"}, "overrides": [f"seed={seed}"]}
        path = make_run(name, values={"normalized_return": returns}, config={**own, **(config or {})}) / "metrics.json"
        told = {"seed": seed, "n_samples": {"preference": 3}, "protocol": {"q": "planned"}, **more}
        path.write_text(json.dumps({**json.loads(path.read_text()), **told}))

    return make


def test_runs_that_differ_in_seeds_only_are_pooled_each_seed_once(make: Callable, tmp_path: Path) -> None:
    make("grid_trap/pd/a", 0, [1.0, 2.0])
    make("grid_trap/pd/b", 1, [2.0, 3.0, 99.0], failed_replicates=[2])
    cells, several = pool_runs(find_runs(tmp_path / "runs"))
    assert several == {}
    (cell,) = cells
    assert sorted(cell.result.values["normalized_return"]) == [1.0, 2.0, 3.0]
    assert cell.seeds == (0, 1, 2)
    assert cell.protocol == {"q": "planned"}
    assert (cell.result.env, cell.result.modality, cell.result.family) == ("grid_trap", "pd", "grid")
    assert (cell.result.searched, cell.result.comparable, cell.result.n_samples) == (False, True, {"preference": 3})


def test_cells_with_several_settings_are_counted_not_averaged(make: Callable, tmp_path: Path) -> None:
    make("grid_trap/pd/a", 0, [1.0])
    make("grid_trap/pd/b", 0, [5.0], {"optim": {"lr": 0.1}})
    make("grid_trap/p/a", 0, [7.0], {"overrides": ["env.size=4"]})
    cells, several = pool_runs(find_runs(tmp_path / "runs"))
    assert [cell.result.modality for cell in cells] == ["p"]
    assert several == {("grid_trap", "pd"): 2}
    assert not cells[0].result.comparable


def test_only_completed_runs_count(make_run: Callable[..., Path], tmp_path: Path) -> None:
    make_run("grid_trap/pd/a", state="failed")
    assert pool_runs(find_runs(tmp_path / "runs")) == ([], {})
