"""A table of labels, CSV or Parquet, beside episodes: one row a label.

| column | of | |
|---|---|---|
| type | every label | preference, rating, stop or demonstration |
| annotator, session, time, tool | any label | who and when, as text |
| episode_0, start_0, stop_0 | every label | its segment, or the first of two; no start and stop: the whole episode |
| episode_1, start_1, stop_1 | preference | the second segment |
| choice | preference | 0, 1, equal or skip |
| value, low, high | rating | what was given, and the ends of the scale |
| step | stop | of the segment, its first is 0; empty where it was watched to its end |
"""

from collections import Counter
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, NoReturn

import numpy as np
import polars as pl

from mavrl.errors import ConfigurationError
from mavrl.importers.arrays import named
from mavrl.importers.base import Imported, Importer, reading, segment
from mavrl.importers.flat_arrays import is_flat, read_flat
from mavrl.importers.minari import read_minari

GIVEN_UP = "labels with a segment that reaches the last step of an episode, which was given up"

_COMMON = ("annotator", "session", "time", "tool")
_FIRST, _SECOND = (tuple(f"{name}_{at}" for name in ("episode", "start", "stop")) for at in range(2))
_COLUMNS = {
    "preference": (*_FIRST, *_SECOND, "choice"),
    "rating": (*_FIRST, "value", "low", "high"),
    "stop": (*_FIRST, "step"),
    "demonstration": _FIRST,
}
_KNOWN = ("type", *_COMMON, *_FIRST, *_SECOND, "choice", "value", "low", "high", "step")
_CHOICES = {"0": 0, "1": 1, "equal": "equal", "skip": "skip"}


class _GivenUpError(Exception):
    """A label names a step that was given up with the last observation."""


@dataclass(frozen=True)
class LabelTable(Importer):
    """Reader of a table of labels, a .csv or .parquet file.

    Args:
        episodes: what the labels are about: a Minari dataset, or an HDF5 or npz file of flat arrays. Its episodes are
            counted from 0, in order.
        env_id: id of the environment that flat arrays were recorded in.
    """

    name: ClassVar[str] = "table"

    episodes: Path | str
    env_id: str | None = None

    def read(self, path: Path) -> Imported:
        rows = _rows(path)
        recorded, places = _recorded(Path(self.episodes), self.env_id)
        labels = []
        left_out = Counter(recorded.left_out)
        for at, row in enumerate(rows, start=1):
            try:
                labels.append(_Row(path, at, row, places).label())
            except _GivenUpError:
                left_out[GIVEN_UP] += 1
        return Imported(
            environment=recorded.environment,
            observation_space=recorded.observation_space,
            action_space=recorded.action_space,
            max_steps=recorded.max_steps,
            source=f"labels in {path.name} about {recorded.source}",
            episodes=recorded.episodes,
            labels=labels,
            left_out=dict(left_out),
        )


class _Place(NamedTuple):
    """An episode of the source.

    Args:
        steps: that it had.
        kept: that are left of it.
        number: among the episodes that are left; meaningless where none of its steps is.
    """

    steps: int
    kept: int
    number: int


def _recorded(path: Path, env_id: str | None) -> tuple[Imported, list[_Place]]:
    """Episodes, and where each of those in the source went."""
    if not is_flat(path):
        recorded = read_minari(path, "episodes")
        lengths = [len(episode.actions) for episode in recorded.episodes]
        return recorded, [_Place(steps, steps, number) for number, steps in enumerate(lengths)]
    flat = read_flat(path, "episodes")
    firsts = np.flatnonzero(flat.step == 0)
    steps = np.bincount(flat.source_episode)
    kept = np.bincount(flat.source_episode, weights=flat.episode >= 0).astype(int)
    places = [_Place(*map(int, each)) for each in zip(steps, kept, flat.episode[firsts], strict=True)]
    source = f"flat arrays in {path.name}"
    return Imported(named(env_id), None, None, None, source, flat.episodes, [], dict(flat.left_out)), places


def _rows(path: Path) -> list[dict[str, Any]]:
    """The rows of a table, without their empty cells."""
    if path.suffix not in (".csv", ".parquet"):
        raise ConfigurationError("path", path, "must be a .csv or .parquet file")
    with reading("path", path, "cannot be read"):
        table = pl.read_csv(path, infer_schema=False) if path.suffix == ".csv" else pl.read_parquet(path)
    for column in table.columns:
        if column not in _KNOWN:
            raise ConfigurationError("path", path, f"column {column} is none of {', '.join(_KNOWN)}")
    return [{key: cell for key, cell in row.items() if not _empty(cell)} for row in table.iter_rows(named=True)]


def _empty(cell: object) -> bool:
    return cell is None or cell != cell or (isinstance(cell, str) and not cell.strip())


def _text(cell: Any) -> str:
    return cell.isoformat() if isinstance(cell, date) else str(cell).strip()


class _Row:
    """A row of a table, on its way to a label.

    Args:
        path: of the table.
        at: which row it is, the first below the head is 1.
        cells: its cells by column, without the empty ones.
        places: of the episodes in the source.
    """

    def __init__(self, path: Path, at: int, cells: dict[str, Any], places: list[_Place]) -> None:
        self.path = path
        self.at = at
        self.cells = cells
        self.places = places

    def label(self) -> dict[str, Any]:
        """The line of a feedback file that it says.

        Raises:
            ConfigurationError: a cell is not as it should be.
            _GivenUpError: it names a step that was given up.
        """
        kind = self._one_of("type", {name: name for name in _COLUMNS})
        for column in self.cells:
            if column not in ("type", *_COMMON, *_COLUMNS[kind]):
                self._fail(column, f"is not used by a {kind}; leave it empty")
        common = {name: _text(self.cells[name]) for name in _COMMON if name in self.cells}
        return {"type": kind, **getattr(self, f"_{kind}")(), **common}

    def _preference(self) -> dict[str, Any]:
        choice = self._one_of("choice", _CHOICES)
        return {"segments": [self._segment(0), self._segment(1)], "choice": choice}

    def _rating(self) -> dict[str, Any]:
        value, low, high = (self._number(column) for column in ("value", "low", "high"))
        if low >= high:
            self._fail("high", f"must be more than low, {low:g}")
        if not low <= value <= high:
            self._fail("value", f"must be from {low:g} to {high:g}")
        return {"segment": self._segment(0), "value": value, "scale": [low, high]}

    def _stop(self) -> dict[str, Any]:
        of = self._segment(0)
        steps = of["stop"] - of["start"]
        return {"segment": of, "step": self._whole("step", 0, steps - 1) if "step" in self.cells else None}

    def _demonstration(self) -> dict[str, Any]:
        of = self._segment(0)
        return {"segment": of} if {"start_0", "stop_0"} & self.cells.keys() else {"episode": of["episode"]}

    def _segment(self, which: int) -> dict[str, int]:
        place = self.places[self._whole(f"episode_{which}", 0, len(self.places) - 1)]
        start = self._whole(f"start_{which}", 0, place.steps - 1) if f"start_{which}" in self.cells else 0
        stop = self._whole(f"stop_{which}", start + 1, place.steps) if f"stop_{which}" in self.cells else place.kept
        if not start < stop <= place.kept:
            raise _GivenUpError
        return segment(place.number, start, stop)

    def _whole(self, column: str, low: int, high: int) -> int:
        number = self._number(column)
        if number != int(number) or not low <= number <= high:
            self._fail(column, f"must be a whole number from {low} to {high}")
        return int(number)

    def _number(self, column: str) -> float:
        try:
            number = float(self._cell(column))
        except (TypeError, ValueError):
            self._fail(column, "must be a number")
        if not np.isfinite(number):
            self._fail(column, "must be a finite number")
        return number

    def _one_of(self, column: str, allowed: dict[str, Any]) -> Any:
        text = str(self._cell(column)).strip()
        if text not in allowed:
            self._fail(column, f"must be one of {', '.join(allowed)}")
        return allowed[text]

    def _cell(self, column: str) -> Any:
        if column not in self.cells:
            self._fail(column, "is wanted here")
        return self.cells[column]

    def _fail(self, column: str, allowed: str) -> NoReturn:
        cell = self.cells.get(column)
        raise ConfigurationError(
            "path", self.path, f"row {self.at}, {column}={'' if cell is None else cell}: {allowed}"
        )
