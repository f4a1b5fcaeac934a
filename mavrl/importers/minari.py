"""Minari datasets, read with Minari's own public interface."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, cast

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Discrete

from mavrl.errors import ConfigurationError
from mavrl.importers.base import (
    NO_PLACE_INFOS,
    Episode,
    Imported,
    Importer,
    bad_row,
    package,
    reading,
    whole_demonstrations,
)

_ALLOWED = "Box and Discrete are read"


@dataclass(frozen=True)
class MinariDatasets(Importer):
    """Reader of a Minari dataset: its folder, the folder `data` in it, or the id of a local dataset.

    A Box of several axes becomes one of one axis, in row-major order.

    Args:
        demonstrations: whether each episode is a demonstration; otherwise there are no labels.
    """

    name: ClassVar[str] = "Minari"

    demonstrations: bool = False

    def read(self, path: Path) -> Imported:
        return read_minari(path, "path", demonstrations=self.demonstrations)


def read_minari(path: Path, key: str, demonstrations: bool = False) -> Imported:
    """Everything in a Minari dataset that a feedback folder has a place for.

    Args:
        path: of the dataset, or its id.
        key: of the setting that names it, for messages.
        demonstrations: whether each episode is a demonstration.

    Raises:
        ConfigurationError: it cannot be read, or its spaces have no place in a feedback folder.
    """
    dataset = _open(path, key)
    spaces = {}
    for name in ("observation", "action"):
        space = getattr(dataset, f"{name}_space")
        if not isinstance(space, (Box, Discrete)):
            raise ConfigurationError(key, path, f"its {name} space is {type(space).__name__}; {_ALLOWED}")
        spaces[name] = space
    left_out: Counter[str] = Counter()
    episodes = []
    with reading(key, path, "an episode cannot be read"):
        for number, data in enumerate(dataset.iterate_episodes()):
            episodes.append(_episode(data, spaces, f"episode {number}", path, key))
            left_out[NO_PLACE_INFOS] += bool(data.infos)
    spec = dataset.env_spec
    return Imported(
        environment={} if spec is None else {"id": spec.id, "kwargs": dict(spec.kwargs)},
        observation_space=_flat(spaces["observation"]),
        action_space=_flat(spaces["action"]),
        max_steps=None if spec is None else spec.max_episode_steps,
        source=f"Minari dataset {dataset.id}",
        episodes=episodes,
        labels=whole_demonstrations(episodes) if demonstrations else [],
        left_out=dict(+left_out),
    )


def _open(path: Path, key: str) -> Any:
    minari = package("minari", key, path)
    folder = next((each for each in (path, path / "data") if (each / "metadata.json").is_file()), None)
    allowed = "must be the folder of a Minari dataset, which holds data/metadata.json, or the id of a local one"
    with reading(key, path, allowed):
        return minari.load_dataset(str(path)) if folder is None else minari.MinariDataset(folder)


def _flat(space: Box | Discrete) -> gymnasium.Space:
    return space if isinstance(space, Discrete) else gymnasium.spaces.flatten_space(space)


def _episode(data: Any, spaces: dict[str, Box | Discrete], place: str, path: Path, key: str) -> Episode:
    arrays = {
        "observations": _rows(data.observations, spaces["observation"]),
        "actions": _rows(data.actions, spaces["action"]),
        "rewards": np.asarray(data.rewards),
    }
    if np.isnan(arrays["rewards"]).all():
        del arrays["rewards"]  # that is how a feedback folder writes that nobody knows them
    for name, array in arrays.items():
        if (row := bad_row(array)) is not None:
            raise ConfigurationError(key, path, f"{place}, {name}: row {row} (from 0) holds NaN or an infinite number")
    ends = np.asarray(data.terminations), np.asarray(data.truncations)
    for name, array in zip(("terminations", "truncations"), ends, strict=True):
        if array[:-1].any():
            what = f"row {int(array.argmax())} (from 0) ends it before its last step"
            raise ConfigurationError(key, path, f"{place}, {name}: {what}")
    terminated, truncated = (bool(array[-1]) for array in ends)
    return Episode(**cast(Any, arrays), terminated=terminated, truncated=truncated or not terminated)


def _rows(values: Any, space: Box | Discrete) -> np.ndarray:
    array = np.asarray(values)
    return array.reshape(-1) if isinstance(space, Discrete) else array.reshape(len(array), -1)
