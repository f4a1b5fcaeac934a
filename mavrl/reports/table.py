"""The table of a study or of plain runs: a row for each environment, a column for each subset of feedback."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from mavrl.configuration.registry import FAMILIES
from mavrl.metrics import METRICS, Metric
from mavrl.reports.aggregate import interquartile_mean
from mavrl.reports.progress import modality_order
from mavrl.reports.published import published_cells
from mavrl.statistics import mean_and_stderr

REFERENCE_SUBSETS = ("p", "d", "r", "s", "pd", "pr", "ps", "dr", "ds", "rs", "pdrs")
_PUBLISHED_ORDER = ("grid_trap", "grid_cliff", "grid_sparse", "cartpole_v1", "acrobot_v1", "lunar_lander_v3")


@dataclass(frozen=True)
class CellResult:
    """The result of one environment with one subset of feedback.

    Args:
        env, family, modality: the cell.
        values: numbers per seed, by metric.
        searched: whether the values are of the best trial of a search, on the seeds that it was chosen on.
        n_samples: counts by kind of feedback.
        comparable: whether the environment is the published one.
    """

    env: str
    family: str
    modality: str
    values: dict[str, list[float]]
    searched: bool
    n_samples: dict[str, int]
    comparable: bool


@dataclass(frozen=True)
class Entry:
    """One number of a table.

    Args:
        mean: mean of a cell, or interquartile mean of several.
        stderr: standard error of the mean; None where there is none.
        interval: bootstrap interval of an interquartile mean; None for a mean.
        searched: as in `CellResult`.
    """

    mean: float
    stderr: float | None = None
    interval: tuple[float, float] | None = None
    searched: bool = False


@dataclass(frozen=True)
class Line:
    """One row.

    Args:
        label: what stands before the entries.
        kind: ours, published, aggregate, or interval, whose entries show their intervals.
        entries: numbers by column.
    """

    label: str
    kind: str
    entries: dict[str, Entry]


@dataclass(frozen=True)
class Section:
    """The rows of one metric.

    Args:
        metric: that all entries are of.
        lines: the rows, from the top.
    """

    metric: Metric
    lines: tuple[Line, ...]


@dataclass(frozen=True)
class ResultTable:
    """A table before it is rendered.

    Args:
        columns: subsets of feedback that have an entry.
        sections: a block of rows for each metric.
        caption: sentences, of which the first stands for itself.
    """

    columns: tuple[str, ...]
    sections: tuple[Section, ...]
    caption: tuple[str, ...] = field(default=())


def result_table(cells: Sequence[CellResult], with_published: bool, caption: Iterable[str] = ()) -> ResultTable:
    """Arrange results as a table.

    Args:
        cells: results, at most one of each environment and subset.
        with_published: put the published figures below ours, where environment and counts are the published ones.
        caption: sentences below the table.
    """
    sections = []
    for metric in (metric for metric in METRICS.values() if metric.listed):
        having = [cell for cell in cells if metric.name in cell.values]
        lines = [line for env in _sorted_envs(having) for line in _env_lines(env, having, metric.name, with_published)]
        if metric.name == "normalized_return":  # the only one that means the same in all environments
            lines += _aggregate_lines(having)
        if lines:
            sections.append(Section(metric, tuple(lines)))
    present = {column for section in sections for line in section.lines for column in line.entries}
    return ResultTable(tuple(sorted(present, key=modality_order)), tuple(sections), tuple(caption))


def cell_order(env: str, modality: str) -> tuple:
    """The key that sorts cells: published environments in their order, then others by name; then subsets."""
    known = env in _PUBLISHED_ORDER
    return not known, _PUBLISHED_ORDER.index(env) if known else 0, env, modality_order(modality)


def marks(line: Line, section: Section) -> dict[str, str]:
    """Marks of the best and second entries of a row, by what is printed of them: equal ones share a mark."""
    metric = section.metric
    sign = -1.0 if metric.direction == "maximize" else 1.0
    printed = {column: sign * round(entry.mean, metric.digits) for column, entry in line.entries.items()}
    ranks = sorted(set(printed.values()))
    if len(printed) < 2 or line.kind == "interval" or metric.direction is None:
        return {}
    names = dict(zip(ranks[:2], ("best", "second"), strict=False))
    return {column: names[value] for column, value in printed.items() if value in names}


def published_entry(cell: CellResult, metric: str) -> Entry | None:
    """The published figure of a cell, if there is one of this environment with these counts."""
    published: dict[str, Any] = published_cells().get((cell.env, cell.modality), {})
    if not cell.comparable or published.get(metric) is None:
        return None
    counts = {kind: n for kind, n in cell.n_samples.items() if n}
    if counts != {kind: n for kind, n in published["n_samples"].items() if n}:
        return None
    error = published["stderr"] if metric == "normalized_return" else None
    return Entry(published[metric], error, searched=True)


def _sorted_envs(cells: Iterable[CellResult]) -> list[str]:
    return sorted({cell.env for cell in cells}, key=lambda env: cell_order(env, ""))


def _env_lines(env: str, cells: Sequence[CellResult], metric: str, with_published: bool) -> list[Line]:
    of_env = [cell for cell in cells if cell.env == env]
    ours = {cell.modality: Entry(*mean_and_stderr(cell.values[metric]), searched=cell.searched) for cell in of_env}
    lines = [Line(env, "ours", ours)]
    published = {cell.modality: entry for cell in of_env if (entry := published_entry(cell, metric)) is not None}
    if with_published and published:
        lines.append(Line("published", "published", published))
    return lines


def _aggregate_lines(cells: Sequence[CellResult]) -> list[Line]:
    """Interquartile means over the environments of a family, of the columns that have a result in each of them."""
    lines = []
    for family in FAMILIES.values():
        members = [cell for cell in cells if cell.family == family.name]
        envs = {cell.env for cell in members}
        entries = {}
        for modality in {cell.modality for cell in members}:
            column = [cell for cell in members if cell.modality == modality]
            if len(envs) > 1 and len(column) == len(envs):
                mean, interval = interquartile_mean([cell.values["normalized_return"] for cell in column])
                searched = any(cell.searched for cell in column)
                entries[modality] = Entry(mean, interval=interval, searched=searched)
        if entries:
            lines.append(Line(f"IQM of {len(envs)} {family.title}", "aggregate", entries))
            lines.append(Line("95 % interval", "interval", entries))
    return lines
