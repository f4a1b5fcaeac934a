"""Index-pair labels, as published with the Preference Transformer and Uni-RLHF: three pickles beside flat arrays.

Two arrays say with which row of the flat arrays the two segments of each query start, and a list or array says which
was preferred: 0 the first, 1 the second, -1 neither; or the two weights of the choice, (1, 0), (0, 1) or (0.5, 0.5).
Both projects count rows in what d4rl.qlearning_dataset makes of a file: without the rows that `timeouts` marks.
"""

import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from mavrl.errors import ConfigurationError
from mavrl.importers.arrays import named
from mavrl.importers.base import Imported, Importer, segment
from mavrl.importers.flat_arrays import FlatEpisodes, read_flat
from mavrl.importers.unpickling import read_pickle

CROSSES = "queries with a segment that crosses the end of an episode"
GIVEN_UP = "queries with a segment that reaches the last step of an episode, which was given up"
UNKNOWN = "queries with the answer {}, whose meaning is not known"

_LENGTH = re.compile(r"_(?:q|len_?)(\d+)(?=[_.]|$)")
_KINDS = {
    "second": re.compile(r"indices_2_"),
    "first": re.compile(r"indices_"),
    "labels": re.compile(r"label(?!_dummy)"),
}  # the first that a name fits
_NAMES = {"first": "indices_*", "second": "indices_2_*", "labels": "label_human, human_label_* or fake_label_*"}
_CHOICES: dict[tuple[float, ...], int | str] = {
    (0,): 0,
    (1,): 1,
    (-1,): "equal",
    (1, 0): 0,
    (0, 1): 1,
    (0.5, 0.5): "equal",
}


@dataclass(frozen=True)
class IndexPairs(Importer):
    """Reader of a folder with the pickles indices_*, indices_2_* and label_human (or human_label_*, fake_label_*).

    Args:
        episodes: HDF5 or npz file of the flat arrays that the indices count the rows of.
        length: steps in each segment; None takes it from a name that tells it, such as indices_num100_q50.
        rows: which rows are counted: "transitions", those without a mark in `timeouts`, or "all".
        env_id: id of the environment that the arrays were recorded in.
    """

    name: ClassVar[str] = "index pairs"

    episodes: Path | str
    length: int | None = None
    rows: str = "transitions"
    env_id: str | None = None

    def read(self, path: Path) -> Imported:
        if self.rows not in ("transitions", "all"):
            raise ConfigurationError("rows", self.rows, "must be transitions or all")
        files = _files(path)
        length = _length(files, self.length)
        first, second = (_starts(files[name]) for name in ("first", "second"))
        if len(first) != len(second):
            raise ConfigurationError("path", path, f"holds {len(first)} and {len(second)} indices, not as many of each")
        starts = np.stack([first, second], axis=1)
        answers = _answers(files["labels"])
        if len(answers) != len(starts):
            allowed = f"holds {len(answers)} answers, but there are {len(starts)} queries"
            raise ConfigurationError("path", files["labels"], allowed)
        arrays = Path(self.episodes)
        flat = read_flat(arrays, "episodes")
        counted = np.flatnonzero(~flat.timeouts) if self.rows == "transitions" else np.arange(len(flat.step))
        outside = ((starts < 0) | (starts + length > len(counted))).any(axis=1)
        if outside.any():
            query = int(outside.argmax())
            wanted = f"query {query} (from 0), {length} rows from {starts[query].tolist()}"
            allowed = f"its {len(counted)} rows do not hold {wanted}; were the labels given for other arrays?"
            raise ConfigurationError("episodes", arrays, allowed)
        labels, left_out = _labels(starts, answers, length, counted, flat)
        if files["labels"].name.startswith("fake_label"):
            labels = [{**label, "annotator": "script"} for label in labels]
        return Imported(
            environment=named(self.env_id),
            observation_space=None,
            action_space=None,
            max_steps=None,
            source=f"index pairs in {path.name}, of {length} steps, over flat arrays in {arrays.name}",
            episodes=flat.episodes,
            labels=labels,
            left_out=dict(flat.left_out + left_out),
        )


def _files(path: Path) -> dict[str, Path]:
    """The three pickles of a folder: first, second, labels."""
    if not path.is_dir():
        raise ConfigurationError("path", path, f"must be a folder that holds {', '.join(_NAMES.values())}")
    found: dict[str, list[Path]] = {kind: [] for kind in _KINDS}
    for file in sorted(each for each in path.iterdir() if each.is_file()):
        kind = next((kind for kind, pattern in _KINDS.items() if pattern.search(file.name)), None)
        if kind is not None:
            found[kind].append(file)
    for kind, files in found.items():
        if len(files) != 1:
            there = ", ".join(file.name for file in files) or "none"
            raise ConfigurationError("path", path, f"must hold one file {_NAMES[kind]}; there is {there}")
    return {kind: files[0] for kind, files in found.items()}


def _length(files: dict[str, Path], given: int | None) -> int:
    told = {int(match[1]) for file in files.values() if (match := _LENGTH.search(file.name))}
    if given is None and len(told) != 1:
        raise ConfigurationError("length", None, "the names of the pickles do not tell how many steps a segment has")
    if given is not None and (given < 1 or told - {given}):
        allowed = f"must be {' or '.join(map(str, sorted(told)))}, as a name says" if told else "must be 1 or more"
        raise ConfigurationError("length", given, allowed)
    return given if given is not None else told.pop()


def _starts(path: Path) -> np.ndarray:
    """First rows of segments, (n,)."""
    values = _numbers(path)
    if values.ndim != 1 or (values != np.floor(values)).any():
        allowed = f"holds numbers of shape {values.shape}; one whole number a query is wanted"
        raise ConfigurationError("path", path, allowed)
    return values.astype(np.int64)


def _answers(path: Path) -> np.ndarray:
    """Answers to queries, (n, 1) or (n, 2)."""
    values = _numbers(path)
    return values[:, None] if values.ndim == 1 else values.reshape(len(values), -1)


def _numbers(path: Path) -> np.ndarray:
    try:
        values = np.asarray(read_pickle(path), dtype=float)
    except (ValueError, TypeError):
        raise ConfigurationError("path", path, "does not hold numbers alone") from None
    if not values.ndim:
        raise ConfigurationError("path", path, "holds one number; one a query is wanted")
    return values


def _labels(
    starts: np.ndarray, answers: np.ndarray, length: int, counted: np.ndarray, flat: FlatEpisodes
) -> tuple[list[dict[str, Any]], Counter[str]]:
    """Preferences, and queries that are none, in words -> how many.

    Args:
        starts: (n, 2), counted in rows that are `counted`.
        answers: (n, 1) or (n, 2).
        length: steps in a segment.
        counted: rows of the arrays that the starts count.
        flat: the arrays, cut into episodes.
    """
    labels: list[dict[str, Any]] = []
    left_out: Counter[str] = Counter()
    for pair, answer in zip(starts, answers, strict=True):
        rows = counted[pair[:, None] + np.arange(length)]  # (2, length)
        sources, episodes = flat.source_episode[rows], flat.episode[rows]
        choice = _CHOICES.get(tuple(answer.tolist()))
        if choice is None:
            left_out[UNKNOWN.format(" ".join(f"{number:g}" for number in answer))] += 1
        elif (sources != sources[:, :1]).any():
            left_out[CROSSES] += 1
        elif (episodes < 0).any():
            left_out[GIVEN_UP] += 1
        else:
            first = flat.step[rows[:, 0]]
            segments = [segment(episodes[at, 0], first[at], first[at] + length) for at in range(2)]
            labels.append({"type": "preference", "segments": segments, "choice": choice})
    return labels, left_out
