"""Flat arrays: one row a step, all episodes one after the other, as in D4RL; cut into episodes."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from mavrl.errors import ConfigurationError
from mavrl.importers.base import LAST_STEP, NO_PLACE, ONE_STEP, Episode, bad_row, choices, features, package, reading

FLAGS = ("terminals", "timeouts")
NAMES = ("observations", "actions", "rewards", *FLAGS, "next_observations")
HDF5_SUFFIXES = (".hdf5", ".h5", ".hdf")
_SAME = 1e-5  # of two observations that are one, written twice


@dataclass(frozen=True)
class FlatEpisodes:
    """Episodes of flat arrays, and what became of each of their N rows.

    Args:
        episodes: that are left.
        source_episode: (N,), the episode of each row, counted as they stand in the arrays.
        episode: (N,), its number among `episodes`, -1 where the row was given up.
        step: (N,), the row's step in its episode.
        timeouts: (N,), whether the row is marked as the last before a time limit.
        left_out: what was given up, in words -> how many.
    """

    episodes: list[Episode]
    source_episode: np.ndarray
    episode: np.ndarray
    step: np.ndarray
    timeouts: np.ndarray
    left_out: Counter[str]


def is_flat(path: Path) -> bool:
    """Whether a file's name says that it holds flat arrays."""
    return path.suffix in (".npz", *HDF5_SUFFIXES)


def read_flat(path: Path, key: str) -> FlatEpisodes:
    """Episodes of an HDF5 or npz file.

    An episode ends where terminals or timeouts say so, where the next observation of a row is not the observation of
    the row after it, and with the arrays.

    Args:
        path: of the file, which holds observations, actions, terminals or timeouts, and perhaps rewards and
            next_observations.
        key: of the setting that names the file, for messages.

    Raises:
        ConfigurationError: the file cannot be read, or an array in it is not as it should be.
    """
    arrays, others = _load(path, key)
    check = _Check(path, key)
    check.present(arrays)
    rows = len(arrays["observations"])
    observations = features(check.numbers("observations", arrays, rows))
    actions = choices(check.numbers("actions", arrays, rows))
    rewards = check.column("rewards", arrays, rows) if "rewards" in arrays else None
    terminals, timeouts = (check.flags(name, arrays, rows) for name in FLAGS)
    following = None
    if "next_observations" in arrays:
        following = features(check.numbers("next_observations", arrays, rows))
        if following.shape != observations.shape:
            check.fail("next_observations", f"shape {following.shape}, but observations have {observations.shape}")
    known, jumps = _following(observations, following, terminals)
    found = _cut(observations, actions, rewards, following, (terminals, timeouts), (known, jumps))
    if others:
        found.left_out[f"{NO_PLACE}: {', '.join(others)}"] += len(others)
    return found


def _load(path: Path, key: str) -> tuple[dict[str, np.ndarray], list[str]]:
    """Arrays that are used, and names of those that are not."""
    if not path.is_file():
        raise ConfigurationError(key, path, "there is no such file")
    with reading(key, path, f"must be an HDF5 file ({', '.join(HDF5_SUFFIXES)}) or an npz of plain arrays"):
        return _load_hdf5(path, key) if path.suffix in HDF5_SUFFIXES else _load_npz(path)


def _load_hdf5(path: Path, key: str) -> tuple[dict[str, np.ndarray], list[str]]:
    h5py = package("h5py", key, path)
    names: list[str] = []

    def keep(name: str, node: Any) -> None:
        if isinstance(node, h5py.Dataset) and not name.startswith("metadata/"):
            names.append(name)

    with h5py.File(path, "r") as file:
        file.visititems(keep)
        return {name: file[name][()] for name in names if name in NAMES}, sorted(set(names) - set(NAMES))


def _load_npz(path: Path) -> tuple[dict[str, np.ndarray], list[str]]:
    with np.load(path, allow_pickle=False) as file:
        return {name: file[name] for name in file.files if name in NAMES}, sorted(set(file.files) - set(NAMES))


class _Check:
    """Arrays of one file, checked; what is wrong is said in one line with file, array and row.

    Args:
        path: of the file.
        key: of the setting that names it.
    """

    def __init__(self, path: Path, key: str) -> None:
        self.path = path
        self.key = key

    def fail(self, name: str, what: str) -> NoReturn:
        raise ConfigurationError(self.key, self.path, f"{name}: {what}")

    def present(self, arrays: dict[str, np.ndarray]) -> None:
        for name in ("observations", "actions"):
            if name not in arrays:
                self.fail(name, "is not in the file")
            if not arrays[name].ndim or not len(arrays[name]):
                self.fail(name, "has no rows")
        if not set(FLAGS) & arrays.keys():
            self.fail(" and ".join(FLAGS), "neither is in the file, so nothing says where an episode ends")

    def numbers(self, name: str, arrays: dict[str, np.ndarray], rows: int) -> np.ndarray:
        """An array of finite numbers with so many rows."""
        array = arrays[name]
        if array.dtype.kind not in "iufb":
            self.fail(name, f"holds {array.dtype}, not numbers")
        if not array.ndim or len(array) != rows:
            found = len(array) if array.ndim else "no"
            self.fail(name, f"has {found} rows, but observations have {rows}")
        if (row := bad_row(array)) is not None:
            self.fail(name, f"row {row} (from 0) holds NaN or an infinite number")
        return array

    def column(self, name: str, arrays: dict[str, np.ndarray], rows: int) -> np.ndarray:
        """Numbers, one a row: (N,)."""
        array = self.numbers(name, arrays, rows)
        if array.size != rows:
            self.fail(name, f"has shape {array.shape}; one number a row is wanted")
        return array.reshape(rows)

    def flags(self, name: str, arrays: dict[str, np.ndarray], rows: int) -> np.ndarray:
        """Marks of rows, (N,) bool; none of a mark that is not in the file."""
        if name not in arrays:
            return np.zeros(rows, dtype=bool)
        array = self.column(name, arrays, rows)
        if (odd := (array != 0) & (array != 1)).any():
            row = int(odd.argmax())
            self.fail(name, f"row {row} (from 0) holds {array[row]}; 0 or 1 is wanted")
        return array.astype(bool)


def _following(
    observations: np.ndarray, following: np.ndarray | None, terminals: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Which rows say what was observed after them, and which of them are not continued by the row after them.

    Arrays that were made of observations alone say that the first observation of the next episode followed a terminal
    row (d4rl.qlearning_dataset does): that is not known.

    Args:
        observations: (N, O), or (N,) for numbered states.
        following: likewise; None where the arrays do not have it.
        terminals: (N,).
    """
    rows = len(observations)
    if following is None:
        return np.zeros(rows, dtype=bool), np.zeros(rows, dtype=bool)
    same = np.isclose(following[:-1], observations[1:], rtol=_SAME, atol=_SAME).reshape(rows - 1, -1).all(axis=1)
    same = np.append(same, False)
    made_up = terminals & same & (observations.dtype.kind == "f")
    return ~made_up, ~same


def _cut(
    observations: np.ndarray,
    actions: np.ndarray,
    rewards: np.ndarray | None,
    following: np.ndarray | None,
    marks: tuple[np.ndarray, np.ndarray],
    continuation: tuple[np.ndarray, np.ndarray],
) -> FlatEpisodes:
    terminals, timeouts = marks
    known, jumps = continuation
    rows = len(observations)
    ends = terminals | timeouts | jumps
    ends[-1] = True
    lasts = np.flatnonzero(ends)
    firsts = np.append(0, lasts[:-1] + 1)
    source_episode = np.repeat(np.arange(len(lasts)), lasts - firsts + 1)
    step = np.arange(rows) - firsts[source_episode]
    episode = np.full(rows, -1)
    episodes: list[Episode] = []
    left_out: Counter[str] = Counter()
    for first, last in zip(firsts, lasts, strict=True):
        stop = last + 1 if known[last] else last
        left_out[LAST_STEP] += not known[last]
        if stop == first:
            left_out[ONE_STEP] += 1
            continue
        seen = observations[first : last + 1]
        if following is not None and known[last]:
            seen = np.concatenate([seen, following[last : last + 1].astype(seen.dtype, copy=False)])
        terminated = bool(known[last] and terminals[last])
        episode[first:stop] = len(episodes)
        episodes.append(
            Episode(
                observations=seen,
                actions=actions[first:stop],
                rewards=None if rewards is None else rewards[first:stop],
                terminated=terminated,
                truncated=bool(timeouts[last]) or not terminated,
            )
        )
    return FlatEpisodes(episodes, source_episode, episode, step, timeouts, +left_out)
