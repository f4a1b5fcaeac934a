"""Rows, columns, marks and published figures of a table, on results made by hand."""

from dataclasses import replace

import pytest

from mavrl.metrics import METRICS
from mavrl.reports.table import (
    REFERENCE_SUBSETS,
    CellResult,
    Entry,
    Line,
    ResultTable,
    Section,
    cell_order,
    marks,
    published_entry,
    result_table,
)


def cell(env: str, modality: str, *returns: float, epic: list[float] | None = None, **changes: object) -> CellResult:
    values = {"normalized_return": list(returns), **({"epic_distance": epic} if epic else {})}
    family = "grid" if env.startswith("grid") else "control"
    return replace(CellResult(env, family, modality, values, False, {"preference": 64}, True), **changes)


def labels(table: ResultTable) -> list[list[str]]:
    return [[line.label for line in section.lines] for section in table.sections]


def test_rows_and_columns_stand_in_the_published_order() -> None:
    cells = [cell("own", "p", 1, 2), cell("cartpole_v1", "p", 1, 2), cell("grid_trap", "prs", 1, 2, epic=[0.1, 0.3])]
    table = result_table(cells, with_published=False)
    assert table.columns == ("p", "prs")  # those with a result
    assert REFERENCE_SUBSETS == ("p", "d", "r", "s", "pd", "pr", "ps", "dr", "ds", "rs", "pdrs")
    assert [names[:3] for names in labels(table)] == [["grid_trap", "cartpole_v1", "own"], ["grid_trap"]]
    epic = table.sections[1].lines[0].entries["prs"]
    assert (epic.mean, epic.stderr) == pytest.approx((0.2, 0.1))
    assert "p" not in table.sections[1].lines[0].entries


def test_cells_are_sorted_by_published_environment_then_subset() -> None:
    cells = [("zebra", "p"), ("lunar_lander_v3", "p"), ("grid_cliff", "pdrs"), ("grid_cliff", "s"), ("grid_trap", "rs")]
    ordered = [
        ("grid_trap", "rs"),
        ("grid_cliff", "s"),
        ("grid_cliff", "pdrs"),
        ("lunar_lander_v3", "p"),
        ("zebra", "p"),
    ]
    assert sorted(cells, key=lambda c: cell_order(*c)) == ordered


def section(metric: str) -> Section:
    return Section(METRICS[metric], ())


def line(kind: str = "ours", **means: float) -> Line:
    return Line("x", kind, {column: Entry(mean) for column, mean in means.items()})


def test_best_and_second_are_marked_by_what_is_printed() -> None:
    row = line(p=99.96, d=100.04, r=98.0, s=98.04, pd=50.0)
    assert marks(row, section("normalized_return")) == {"p": "best", "d": "best", "r": "second", "s": "second"}


def test_lower_distances_are_better() -> None:
    assert marks(line(p=0.5, d=0.1, r=0.3), section("epic_distance")) == {"d": "best", "r": "second"}


def test_nothing_is_best_of_one_and_intervals_are_not_compared() -> None:
    assert marks(line(p=1.0), section("normalized_return")) == {}
    assert marks(line("interval", p=1.0, d=2.0), section("normalized_return")) == {}


def test_published_figures_stand_below_equal_counts_in_the_same_environment() -> None:
    same = cell("grid_trap", "p", 90, 92, epic=[0.5, 0.5])
    entry = published_entry(same, "normalized_return")
    assert entry is not None
    assert (entry.mean, entry.stderr, entry.searched) == (78.31, 5.42, True)
    distance = published_entry(same, "epic_distance")
    assert distance is not None
    assert (distance.mean, distance.stderr) == (0.627, None)
    assert published_entry(replace(same, n_samples={"preference": 64, "stop": 0}), "normalized_return") == entry
    assert published_entry(replace(same, n_samples={"preference": 23}), "normalized_return") is None
    assert published_entry(replace(same, comparable=False), "normalized_return") is None
    assert published_entry(cell("grid_path", "p", 1), "normalized_return") is None
    assert labels(result_table([same], True)) == [["grid_trap", "published"]] * 2
    assert labels(result_table([same], False)) == [["grid_trap"]] * 2


def test_aggregates_compare_only_columns_with_all_environments_of_a_family() -> None:
    cells = [
        cell("grid_trap", "p", 0, 10, 20, 30), cell("grid_cliff", "p", 0, 10, 20, 30, searched=True),
        cell("grid_trap", "d", 99, 99), cell("cartpole_v1", "p", 50, 50),
    ]  # fmt: skip
    lines = result_table(cells, False).sections[0].lines
    assert [(row.label, row.kind) for row in lines[3:]] == [
        ("IQM of 2 grids", "aggregate"),
        ("95 % interval", "interval"),
    ]
    assert set(lines[3].entries) == {"p"}
    entry = lines[3].entries["p"]
    assert entry.mean == 15.0
    assert entry.searched
    assert entry.interval is not None
    assert entry.interval[0] < 15 < entry.interval[1]
