"""Trajectories as the package `imitation` stores them; read without it.

A folder is what its `serialize.save` writes: a dataset of Hugging Face's `datasets`, one row a trajectory, in Arrow's
stream format. An npz is what `types.save` wrote before version 0.4: all trajectories one after the other. Infos are
pickled or encoded objects, which can run code when they are decoded; of those in a folder, one flag is read as JSON.
"""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, NamedTuple

import numpy as np
import polars as pl

from mavrl.errors import ConfigurationError
from mavrl.importers.arrays import named
from mavrl.importers.base import (
    NO_PLACE_INFOS,
    Episode,
    Imported,
    Importer,
    bad_row,
    choices,
    features,
    reading,
    whole_demonstrations,
)

UNSURE_END = "ends of episodes of which the file does not say whether it was a time limit; read as if not"
EMPTY = "trajectories without a step"


class _Trajectory(NamedTuple):
    """A trajectory of T steps, as it is stored.

    Args:
        obs: (T + 1, ...).
        acts: (T, ...).
        rews: (T,), or None.
        terminal: whether its last step ended the episode, by a time limit or not.
        time_limit: whether that was a time limit; None where the file does not say.
        infos: whether it has any.
    """

    obs: np.ndarray
    acts: np.ndarray
    rews: np.ndarray | None
    terminal: bool
    time_limit: bool | None
    infos: bool


@dataclass(frozen=True)
class ImitationTrajectories(Importer):
    """Reader of the folder of a dataset of trajectories, or of an npz of older versions.

    They do not name their environment or its spaces.

    Args:
        env_id: id of the environment that they were recorded in.
        demonstrations: whether each trajectory is a demonstration, which is what `imitation` keeps them for.
    """

    name: ClassVar[str] = "imitation"

    env_id: str | None = None
    demonstrations: bool = True

    def read(self, path: Path) -> Imported:
        left_out: Counter[str] = Counter()
        episodes = []
        for number, trajectory in enumerate(_trajectories(path)):
            left_out[NO_PLACE_INFOS] += trajectory.infos
            if not len(trajectory.acts):
                left_out[EMPTY] += 1
                continue
            left_out[UNSURE_END] += trajectory.terminal and trajectory.time_limit is None
            episodes.append(_episode(trajectory, path, number))
        return Imported(
            environment=named(self.env_id),
            observation_space=None,
            action_space=None,
            max_steps=None,
            source=f"trajectories of imitation in {path.name}",
            episodes=episodes,
            labels=whole_demonstrations(episodes) if self.demonstrations else [],
            left_out=dict(+left_out),
        )


def _episode(trajectory: _Trajectory, path: Path, number: int) -> Episode:
    terminated = trajectory.terminal and not trajectory.time_limit
    arrays = {"obs": trajectory.obs, "acts": trajectory.acts, "rews": trajectory.rews}
    for name, array in arrays.items():
        wanted = len(trajectory.acts) + (name == "obs")
        if array is None:
            continue
        if len(array) != wanted:
            what = f"has {len(array)} rows; for {len(trajectory.acts)} actions {wanted} are wanted"
            raise ConfigurationError("path", path, f"trajectory {number}, {name}: {what}")
        if array.dtype.kind not in "iufb":
            raise ConfigurationError("path", path, f"trajectory {number}, {name}: holds {array.dtype}, not numbers")
        if (row := bad_row(array)) is not None:
            what = f"row {row} (from 0) holds NaN or an infinite number"
            raise ConfigurationError("path", path, f"trajectory {number}, {name}: {what}")
    return Episode(
        observations=features(trajectory.obs),
        actions=choices(trajectory.acts),
        rewards=trajectory.rews,
        terminated=terminated,
        truncated=not terminated,
    )


def _trajectories(path: Path) -> Iterator[_Trajectory]:
    """All trajectories.

    Raises:
        ConfigurationError: the file or folder is not such a one.
    """
    allowed = "must be the folder of a dataset of trajectories, or an npz of them"
    if not path.exists():
        raise ConfigurationError("path", path, "there is no such file or folder")
    if path.is_file() and path.suffix != ".npz":
        raise ConfigurationError("path", path, f"{allowed}; older pickles are not read, because they can run code")
    with reading("path", path, allowed):
        yield from _from_folder(path) if path.is_dir() else _from_npz(path)


def _from_folder(path: Path) -> Iterator[_Trajectory]:
    for row in _table(path).iter_slices(1):
        infos = row["infos"][0].to_list() if "infos" in row.columns else []
        yield _Trajectory(
            obs=_array(row["obs"][0]),
            acts=_array(row["acts"][0]),
            rews=_array(row["rews"][0]) if "rews" in row.columns else None,
            terminal=bool(row["terminal"][0]),
            time_limit=_time_limit(infos),
            infos=any(info not in ("{}", None) for info in infos),
        )


def _table(path: Path) -> pl.DataFrame:
    """The rows of a dataset that was saved to a folder, or of the Parquet files that one was published as."""
    if (path / "state.json").is_file():
        state = json.loads((path / "state.json").read_text(encoding="utf-8"))
        names = [Path(each["filename"]).name for each in state["_data_files"]]
        return pl.concat([pl.read_ipc_stream(path / name) for name in names])
    files = sorted(path.rglob("*.parquet"))
    if not files:
        raise ValueError("there is neither state.json nor a Parquet file in it")
    return pl.concat([pl.read_parquet(file) for file in files])


def _array(values: pl.Series) -> np.ndarray:
    """Nested lists of one shape as an array."""
    rows, flat = len(values), values
    while isinstance(flat.dtype, (pl.List, pl.Array)):
        flat = flat.explode()
    return flat.to_numpy().reshape((rows, -1) if flat is not values and rows else (rows,))


def _time_limit(infos: list[str]) -> bool | None:
    last = json.loads(infos[-1]) if infos else {}
    value = last.get("TimeLimit.truncated") if isinstance(last, dict) else None
    return value if isinstance(value, bool) else None


def _from_npz(path: Path) -> Iterator[_Trajectory]:
    with np.load(path, allow_pickle=False) as file:
        cuts, terminal = file["indices"], file["terminal"]
        acts = np.split(file["acts"], cuts)
        obs = np.split(file["obs"], cuts + np.arange(len(cuts)) + 1)
        rews = np.split(file["rews"], cuts) if "rews" in file.files else [None] * len(acts)
        infos = "infos" in file.files
    for parts in zip(obs, acts, rews, terminal, strict=True):
        yield _Trajectory(*parts[:3], terminal=bool(parts[3]), time_limit=None, infos=infos)
