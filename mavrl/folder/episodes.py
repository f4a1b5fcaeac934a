"""Recorded episodes: a Minari dataset with HDF5 storage, in the folder's episodes/, read into flat arrays.

What is Minari's own stands in this file alone; it is an extra, which only folders need.
"""

import shutil
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from mavrl.errors import ConfigurationError
from mavrl.folder.description import Description, Space
from mavrl.folder.faults import FolderFault
from mavrl.storage.files import naming

EPISODES = "episodes"
_FILES = ("main_data.hdf5", "metadata.json")  # in the order in which a change of both is safe
_NAME = "mavrl/recorded-v0"  # by which Minari knows the data set


@dataclass(frozen=True)
class Episode:
    """A recorded episode of T steps.

    Args:
        observations: shape (T + 1, O), or (T + 1,) of numbered states; the last one followed the last step.
        actions: shape (T,), or (T, D) of vectors.
        rewards: shape (T,); None where nobody knows them.
        terminated: whether the last step ended the episode; a time limit does not.
        truncated: whether it was cut off after the last step, as by a time limit.
    """

    observations: np.ndarray
    actions: np.ndarray
    rewards: np.ndarray | None = None
    terminated: bool = False
    truncated: bool = False

    def __len__(self) -> int:
        return len(self.actions)


@dataclass(frozen=True)
class Episodes:
    """All episodes of a folder, end to end: E episodes with N steps.

    Args:
        observations: shape (N + E, O), or (N + E,) of numbers.
        actions: shape (N,), or (N, D).
        rewards: shape (N,); None unless all are known.
        lengths: steps of each episode, shape (E,).
        terminated: whether the last step of each ended it, shape (E,).
    """

    observations: np.ndarray
    actions: np.ndarray
    rewards: np.ndarray | None
    lengths: np.ndarray
    terminated: np.ndarray

    def __len__(self) -> int:
        return len(self.lengths)

    @property
    def first(self) -> np.ndarray:
        """The first step of each episode among all steps, shape (E,). Its observation is that and its number later."""
        return np.concatenate([[0], self.lengths.cumsum()[:-1]]).astype(np.int64)


def with_one_hot_states(episodes: Episodes, n_states: int) -> Episodes:
    """Episodes whose numbered states are vectors with a 1 at their number, as Gymnasium flattens them."""
    return replace(episodes, observations=np.eye(n_states, dtype=np.float32)[episodes.observations])


def append_episodes(folder: Path, description: Description, episodes: Iterable[Episode]) -> range:
    """Add episodes to those of a folder; returns their numbers. Readers see all of them or none.

    Raises:
        ConfigurationError: Minari is not installed.
        FolderFault: an episode does not fit the description.
    """
    minari, storage, buffer = _minari()
    home = folder / EPISODES
    # Minari takes a relative path twice.
    scratch = Path(tempfile.mkdtemp(dir=folder.resolve(), prefix=f".{EPISODES}."))
    with naming(home):
        try:
            new = not (home / _FILES[1]).exists()
            if new:
                spaces = [space.to_gymnasium() for space in (description.observation_space, description.action_space)]
                held = storage.new(scratch, *spaces, data_format="hdf5")
                held.update_metadata({"dataset_id": _NAME, "minari_version": minari.__version__})
            else:
                for name in _FILES:
                    shutil.copy2(home / name, scratch / name)
                held = storage.read(scratch)
            before = 0 if new else _count(scratch)
            buffers = [_buffer(buffer, before + k, each) for k, each in enumerate(episodes)]
            if buffers or new:
                held.update_episodes(buffers)
                home.mkdir(exist_ok=True)
                for name in _FILES:
                    (scratch / name).replace(home / name)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
    return range(before, before + len(buffers))


def count_episodes(folder: Path) -> int:
    """How many episodes there are; 0 where none have been added yet.

    Raises:
        FolderFault: they are damaged.
    """
    return len(read_lengths(folder)) if (folder / EPISODES).exists() else 0


def read_lengths(folder: Path) -> np.ndarray:
    """Steps of each episode, shape (E,).

    Raises:
        FolderFault: there are none, or they are damaged.
    """
    held = _opened(folder)
    try:
        found = [int(each["total_steps"]) for each in held.storage.get_episode_metadata(held.episode_indices)]
    except (OSError, KeyError, ValueError) as error:
        raise FolderFault(folder, EPISODES, f"cannot be read: {error}") from error
    return np.array(found, dtype=np.int64)


def read_episodes(folder: Path, description: Description) -> Episodes:
    """All episodes of a folder, checked against its description.

    Raises:
        ConfigurationError: Minari is not installed.
        FolderFault: they are missing, damaged, or not what the description says.
    """
    held = _opened(folder)
    for name in ("observation_space", "action_space"):
        _check_space(folder, name, getattr(description, name), getattr(held, name))
    parts: dict[str, list[Any]] = {name: [] for name in ("observations", "actions", "rewards", "terminated")}
    for number, arrays in enumerate(_arrays(folder, held.total_episodes)):
        check_episode(folder, number, description, **arrays)
        parts["observations"].append(_flat(arrays["observations"], description.observation_space))
        parts["actions"].append(_flat(arrays["actions"], description.action_space))
        parts["rewards"].append(arrays["rewards"])
        parts["terminated"].append(bool(arrays["terminations"][-1]))
    if not parts["actions"]:
        raise FolderFault(folder, EPISODES, "has no episodes")
    rewards = np.concatenate(parts["rewards"])
    return Episodes(
        np.concatenate(parts["observations"]),
        np.concatenate(parts["actions"]),
        None if np.isnan(rewards).any() else rewards,
        np.array([len(actions) for actions in parts["actions"]], dtype=np.int64),
        np.array(parts["terminated"]),
    )


def check_episode(
    folder: Path,
    number: int,
    description: Description,
    observations: np.ndarray,
    actions: np.ndarray,
    rewards: np.ndarray,
    terminations: np.ndarray,
) -> None:
    """Refuse an episode that is not what the description says.

    Args:
        terminations: whether each step terminated the episode, shape (T,).

    Raises:
        FolderFault: for the first thing that is wrong.
    """

    def fault(cause: str) -> FolderFault:
        return FolderFault(folder, f"{EPISODES}, episode {number}", cause)

    arrays = {"observations": observations, "actions": actions, "rewards": rewards, "terminations": terminations}
    n_steps = len(actions)
    if n_steps == 0:
        raise fault("has no steps")
    for name, count in (("observations", n_steps + 1), ("rewards", n_steps), ("terminations", n_steps)):
        if len(arrays[name]) != count:
            raise fault(f"has {n_steps} actions and {len(arrays[name])} {name}; must have {count}")
    for name, space in (("observations", description.observation_space), ("actions", description.action_space)):
        array = arrays[name]
        if array.shape[1:] != space.shape:
            raise fault(f"{name} have the shape {array.shape[1:]}; {name[:-1]}_space has {space.shape}")
        if array.dtype.kind not in "iufb" or (space.n is not None and array.dtype.kind == "f"):
            raise fault(f"{name} are {array.dtype}; must be numbers" + ("" if space.n is None else " from 0"))
        bad = ~np.isfinite(array) if space.n is None else (array < space.start) | (array >= space.start + space.n)
        if bad.any():
            step = int(bad.reshape(len(bad), -1).any(-1).argmax())
            value = array[step] if space.n is not None else array[step][bad[step]].flat[0]
            allowed = "finite" if space.n is None else f"from {space.start} to {space.start + space.n - 1}"
            raise fault(f"{name}[{step}] has {value}; must be {allowed}")
    if np.isinf(rewards).any():
        raise fault(f"rewards[{int(np.isinf(rewards).argmax())}] is infinite; must be finite, or NaN where not known")
    early = np.flatnonzero(terminations[:-1])
    if len(early):
        raise fault(f"terminates at step {early[0]} and goes on to step {n_steps - 1}")


def _flat(array: np.ndarray, space: Space) -> np.ndarray:
    """Vectors on one axis, in single precision; numbers counted from 0."""
    if space.n is not None:
        return array.astype(np.int64) - space.start
    return array.reshape(len(array), -1).astype(np.float32, copy=False)


def _check_space(folder: Path, name: str, described: Space, held: Any) -> None:
    try:
        found = Space.from_gymnasium(held)
    except ValueError as error:
        raise FolderFault(folder, EPISODES, f"has another {name}: {error}") from error
    if (found.n, found.shape, found.start) != (described.n, described.shape, described.start):
        cause = f"has the {name} {_brief(found)}; dataset.json says {_brief(described)}"
        raise FolderFault(folder, EPISODES, cause)


def _brief(space: Space) -> str:
    if space.n is None:
        return f"Box of shape {space.shape}"
    return f"Discrete({space.n})" if space.start == 0 else f"Discrete({space.n}, start={space.start})"


def _buffer(buffer: Any, number: int, episode: Episode) -> Any:
    ends = np.zeros(len(episode), dtype=bool)
    ends[-1:] = episode.terminated
    cut = np.zeros(len(episode), dtype=bool)
    cut[-1:] = not episode.terminated
    rewards = np.full(len(episode), np.nan) if episode.rewards is None else episode.rewards
    arrays = {"observations": episode.observations, "actions": episode.actions, "rewards": rewards}
    return buffer(id=number, **arrays, terminations=ends, truncations=cut, infos={})


# Minari --------------------------------------------------------------------------------------------------------------


def _minari() -> tuple[Any, Any, Any]:
    try:
        import minari
        from minari.data_collector import EpisodeBuffer
        from minari.dataset.minari_storage import MinariStorage
    except ImportError as error:
        allowed = 'needs minari, which is not installed; pip install "mavrl[data]"'
        raise ConfigurationError("data", EPISODES, allowed) from error
    return minari, MinariStorage, EpisodeBuffer


def _opened(folder: Path) -> Any:
    home = folder / EPISODES
    missing = [name for name in _FILES if not (home / name).is_file()]
    if missing:
        raise FolderFault(folder, f"{EPISODES}/{missing[0]}", "is missing; episodes/ is a Minari dataset with HDF5")
    try:
        return _minari()[0].MinariDataset(home)
    except ConfigurationError:
        raise
    except Exception as error:  # of whatever kind Minari raises about a file that it cannot read
        raise FolderFault(folder, f"{EPISODES}/{_FILES[1]}", f"cannot be read: {error or repr(error)}") from error


def _count(home: Path) -> int:
    import h5py

    with h5py.File(home / _FILES[0]) as file:
        return len(file.keys())


def _arrays(folder: Path, count: int) -> Iterator[dict[str, np.ndarray]]:
    """The arrays of each episode, by the names that Minari has for them.

    What Minari does for it takes four times as long, and more than half of the time that a folder is opened in.
    """
    import h5py

    names = ("observations", "actions", "rewards", "terminations")
    whole = h5py.h5s.ALL
    try:
        opened = h5py.File(folder / EPISODES / _FILES[0])
    except OSError as error:
        raise FolderFault(folder, f"{EPISODES}/{_FILES[0]}", f"cannot be read: {error}") from error
    with opened as file:
        for number in range(count):
            found = {}
            for name in names:
                try:
                    held = h5py.h5d.open(file.id, f"episode_{number}/{name}".encode())
                    found[name] = np.empty(held.shape, held.dtype)
                    held.read(whole, whole, found[name])
                except (KeyError, ValueError, TypeError, OSError, RuntimeError) as error:
                    why = str(error) or type(error).__name__
                    cause = f"{name} cannot be read as an array of numbers: {why}"
                    raise FolderFault(folder, f"{EPISODES}, episode {number}", cause) from error
            yield found
