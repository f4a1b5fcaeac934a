"""What an importer is: a class whose one method turns somebody else's file into episodes and labels.

A stranger adds a source by a class like those beside this file and one line in IMPORTERS. Its options are its fields,
and what it cannot convert it counts and names in `Imported.left_out`.
"""

import importlib
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, SupportsInt

import gymnasium
import numpy as np

from mavrl.errors import ConfigurationError, MavrlError
from mavrl.folder.episodes import Episode

LAST_STEP = "last steps of episodes, because the observation after them is not in the file"
ONE_STEP = "episodes of one step, which was given up as the last one"
NO_PLACE = "arrays that have no place in a feedback folder"
NO_PLACE_INFOS = "episodes' infos, which have no place in a feedback folder"


@dataclass(frozen=True)
class Imported:
    """What an importer made of a source.

    Args:
        environment: {"id": ..., "kwargs": {...}} as far as the source tells; {} otherwise.
        observation_space: of the episodes, None where the source does not tell.
        action_space: likewise.
        max_steps: steps after which an episode is cut off, None where the source does not tell.
        source: where it comes from, in one line.
        episodes: in the order that the labels count them in.
        labels: lines of a feedback file, without ids.
        left_out: what could not be converted: in words -> how many.
    """

    environment: dict[str, Any]
    observation_space: gymnasium.Space | None
    action_space: gymnasium.Space | None
    max_steps: int | None
    source: str
    episodes: Iterable[Episode]
    labels: list[dict[str, Any]]
    left_out: dict[str, int]


class Importer(ABC):
    """A reader of one format; a frozen dataclass whose fields are the options that it takes, plain values."""

    name: ClassVar[str]
    """What the format is called."""

    @abstractmethod
    def read(self, path: Path) -> Imported:
        """Everything in a file or folder that can be converted, with the rest counted by name.

        Raises:
            ConfigurationError: it is not of this format, or damaged; one line that names file, place and what is wrong.
        """


def package(name: str, key: str, value: object) -> Any:
    """A package that not every installation has.

    Raises:
        ConfigurationError: it is not installed; about this key and value, and says how to install it.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        lacking = f"needs {getattr(error, 'name', None) or name}, which is not installed"
        raise ConfigurationError(key, value, f'{lacking}; pip install "mavrl[data]"') from None


def one_line(error: BaseException) -> str:
    """What an error says, cut to its first line and to what can be printed, or else the kind of error."""
    lines = str(error).strip().splitlines()
    text = "".join(each if each.isprintable() else "?" for each in lines[0][:300]) if lines else ""
    return text or type(error).__name__


@contextmanager
def reading(key: str, value: object, allowed: str) -> Iterator[None]:
    """Turns whatever a library raises about a file, for a damaged one can raise anything, into one line.

    Args:
        key: of the setting that names the file.
        value: of it.
        allowed: what the file must be.

    Raises:
        ConfigurationError: with what the library says.
    """
    try:
        yield
    except MavrlError:
        raise
    except Exception as error:
        raise ConfigurationError(key, value, f"{allowed}; {one_line(error)}") from None


def features(array: np.ndarray) -> np.ndarray:
    """Rows with one axis of features: (n, F), or (n,) where each row is a whole number.

    Args:
        array: (n, ...) of numbers.
    """
    if array.ndim == 1:
        return array if array.dtype.kind in "iu" else array[:, None]
    return array.reshape(len(array), -1)


def choices(array: np.ndarray) -> np.ndarray:
    """Actions: (n,) of whole numbers, whether the source has them as (n,) or (n, 1), or (n, D)."""
    rows = features(array)
    return rows[:, 0] if rows.ndim == 2 and rows.shape[1] == 1 and rows.dtype.kind in "iu" else rows


def bad_row(array: np.ndarray) -> int | None:
    """The first row that holds something that is not finite, None if there is none."""
    if array.dtype.kind != "f":
        return None
    bad = ~np.isfinite(array).reshape(len(array), -1).all(axis=1)
    return int(bad.argmax()) if bad.any() else None


def segment(episode: SupportsInt, start: SupportsInt, stop: SupportsInt) -> dict[str, int]:
    """Steps start, ..., stop - 1 of an episode, as a label names them."""
    return {"episode": int(episode), "start": int(start), "stop": int(stop)}


def whole_demonstrations(episodes: list[Episode]) -> list[dict[str, Any]]:
    """A label for each episode that says that it is a demonstration."""
    return [{"type": "demonstration", "episode": number} for number in range(len(episodes))]
