"""The figures of a sweep."""

import json
from pathlib import Path
from typing import Any

import pytest

from mavrl.reports.figures.sweep import sweep_figures
from mavrl.storage.index import Run, find_runs


def _run(root: Path, number: int, modality: str, labels: int, query: str = "random", **more: Any) -> None:
    directory = root / str(number)
    directory.mkdir(parents=True)
    final = {"normalized_return": [50.0 + number, 60.0], "epic_distance": [0.5, 0.4]}
    metrics = {
        "env": "grid_trap", "modality": modality, "seed": 0, "replicates": 2, "n_samples": {"preference": labels},
        "protocol": {}, "final": final, "mean": {name: sum(x) / 2 for name, x in final.items()}, "stderr": {},
        "seconds": {"total": 1.0}, **more,
    }  # fmt: skip
    config = {"env": {"family": "grid"}, "choices": {"query": query}, "labels": labels}
    for name, content in (("metrics", metrics), ("config", config), ("status", {"state": "completed"})):
        (directory / f"{name}.json").write_text(json.dumps(content))


@pytest.fixture
def runs(tmp_path: Path) -> list[Run]:
    cells = [("p", 8), ("p", 32), ("r", 8), ("r", 32), ("pr", 16)]
    for number, (modality, labels) in enumerate(cells):
        _run(tmp_path, number, modality, labels)
    return find_runs(tmp_path)


def test_tables_and_learning_curves_where_there_is_something_to_show(runs: list[Run]) -> None:
    figures = dict(sweep_figures(runs))
    assert set(figures) == {"table_normalized_return", "table_epic_distance", "budgets_grid_trap"}
    curves = figures["budgets_grid_trap"].axes[0].lines
    assert {line.get_label(): list(line.get_xdata()) for line in curves} == {"p": [8, 32], "r": [8, 32]}
    table = figures["table_normalized_return"].axes[0]
    assert [label.get_text() for label in table.get_xticklabels()] == ["p", "r", "pr"]
    assert table.texts[0].get_text().startswith("55.5")  # of the run with most labels


def test_one_cell_has_no_table(tmp_path: Path) -> None:
    _run(tmp_path, 0, "p", 8)
    assert dict(sweep_figures(find_runs(tmp_path))) == {}


def test_query_rules_where_there_are_rounds(tmp_path: Path) -> None:
    rows = [{"round": 1.0, "labels_preference": 4.0, "normalized_return": 10.0}]
    for number, query in enumerate(("random", "information_gain", "random")):
        _run(tmp_path, number, "p", 8, query, rounds=rows)
    (axes,) = dict(sweep_figures(find_runs(tmp_path)))["queries_grid_trap"].axes
    assert [line.get_label() for line in axes.lines] == ["random", "information gain"]
