"""Runs as a table for other programs: CSV, Parquet or JSON."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mavrl.configuration.plain import flatten
from mavrl.reports.escaping import csv_text
from mavrl.reports.overview import relative_path
from mavrl.reports.relative import relative_returns
from mavrl.storage.files import replacing
from mavrl.storage.index import Run

if TYPE_CHECKING:
    import polars

_REPLICATES = "_replicates"  # the end of the names of columns with one value for each replicate


def export_runs(runs: Sequence[Run], root: Path, path: Path) -> None:
    """Write one row for each run. Columns are described in docs/using.md.

    A CSV file leaves out the values of single replicates, and has other lists as JSON text, and an apostrophe before
    text that a spreadsheet would take for a formula.

    Args:
        runs: the runs to write, a row each.
        root: the folder of runs; the column `directory` is relative to it.
        path: where to write; the suffix, one of `EXPORT_SUFFIXES` in the rules, says the format.

    Raises:
        StorageError: the file cannot be written.
    """
    rows = [run_row(run, root) for run in runs]
    if any(relative := relative_returns(runs)):
        for row, percent in zip(rows, relative, strict=True):
            row["relative_return"], row["relative_return_stderr"] = percent or (None, None)
    table = data_frame(rows)
    with replacing(path) as temporary:
        if path.suffix == ".parquet":
            table.write_parquet(temporary)
        elif path.suffix == ".json":
            table.write_json(temporary)
        else:
            without_formulas(without_lists(table)).write_csv(temporary)


def run_row(run: Run, root: Path) -> dict[str, Any]:
    """The row of a run, by column: where and how it ended, its configuration, its metrics."""
    choices = {group: name for group, name in run.config.get("choices", {}).items() if "@" not in group}
    settings = {key: value for key, value in run.config.items() if key not in ("choices", "overrides")}
    row = {
        "directory": relative_path(run.path, root),
        "state": run.state,
        **{key: run.status.get(key) for key in ("started", "ended", "seconds", "error")},
        **choices,
        **{key: value for key, value in flatten(settings).items() if not key.endswith("_target_")},
        "overrides": " ".join(run.config.get("overrides", [])),
    }
    for name, mean in run.metrics.get("mean", {}).items():
        row[name] = mean
        row[f"{name}_stderr"] = run.metrics.get("stderr", {}).get(name)
        row[f"{name}{_REPLICATES}"] = run.metrics.get("final", {}).get(name)
    return row


def data_frame(rows: Sequence[dict[str, Any]]) -> "polars.DataFrame":
    """Make a data frame of rows. A column holds numbers, truth values, lists of numbers, or else text."""
    import polars

    names = dict.fromkeys(name for row in rows for name in row)
    return polars.DataFrame([_column(name, [row.get(name) for row in rows]) for name in names])


def without_lists(table: "polars.DataFrame") -> "polars.DataFrame":
    """Make a data frame without lists: those of replicates are left out, others are JSON text."""
    import polars

    kept = table.select(name for name in table.columns if not name.endswith(_REPLICATES))
    return kept.with_columns(
        polars.Series(column.name, [None if x is None else json.dumps(x) for x in column.to_list()], polars.String)
        for column in kept
        if column.dtype == polars.List
    )


def without_formulas(table: "polars.DataFrame") -> "polars.DataFrame":
    """Make a data frame whose texts no spreadsheet takes for formulas."""
    import polars

    return table.with_columns(
        polars.Series(column.name, [None if x is None else csv_text(x) for x in column.to_list()], polars.String)
        for column in table
        if column.dtype == polars.String
    )


def _column(name: str, values: list[Any]) -> "polars.Series":
    import polars

    present = [value for value in values if value is not None]
    if present and all(isinstance(value, bool) for value in present):
        return polars.Series(name, values, polars.Boolean)
    if present and all(isinstance(value, list) and _are_numbers(value) for value in present):
        return polars.Series(name, values, polars.List(_number_type([x for value in present for x in value])))
    if present and _are_numbers(present):
        return polars.Series(name, values, _number_type(present), strict=False)
    return polars.Series(name, [_text(value) for value in values], polars.String)


def _number_type(values: list[Any]) -> Any:
    import polars

    return polars.Int64 if all(isinstance(value, int) for value in values) else polars.Float64


def _are_numbers(values: list[Any]) -> bool:
    return all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in values)


def _text(value: Any) -> str | None:
    return value if value is None or isinstance(value, str) else json.dumps(value)
