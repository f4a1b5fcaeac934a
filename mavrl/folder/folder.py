"""Feedback folders as users have them in Python."""

import time
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mavrl.folder.description import DESCRIPTION, Description, Space, read_description
from mavrl.folder.episodes import (
    Episode,
    Episodes,
    append_episodes,
    check_episode,
    count_episodes,
    read_episodes,
    read_lengths,
)
from mavrl.folder.faults import FolderFault
from mavrl.folder.journal import FEEDBACK, append, lock, read
from mavrl.folder.labels import BadLabel, Label, check_place, label_of
from mavrl.folder.videos import place_videos, video_path


@dataclass(frozen=True)
class Summary:
    """What a folder holds.

    Args:
        episodes, steps: how many there are.
        labels: that stand, by kind; corrected ones are not among them.
        corrected: labels that later ones replace.
        annotators: everybody who labelled, by name; "" for unnamed ones.
    """

    episodes: int
    steps: int
    labels: Mapping[str, int]
    corrected: int
    annotators: tuple[str, ...]


class FeedbackFolder:
    """A folder of recorded episodes and of what people said about them.

    `dataset.json` describes the environment, `episodes/` is a Minari dataset, and each line of `feedback.jsonl` is a
    label; docs/feedback-format.md has the format. Use `create` or `open`.
    """

    def __init__(self, path: Path, description: Description) -> None:
        self.path = path
        self.description = description
        self._lengths: np.ndarray | None = None

    @classmethod
    def create(
        cls,
        path: Path | str,
        observation_space: Any,
        action_space: Any,
        environment: Mapping[str, Any] | None = None,
        max_steps: int | None = None,
        source: str = "",
        told: Mapping[str, Mapping[str, float]] | None = None,
    ) -> "FeedbackFolder":
        """Make a new folder.

        Args:
            path: where; a folder that is not there yet, or is empty.
            observation_space, action_space: Box or Discrete spaces of Gymnasium.
            environment: such as {"id": "CartPole-v1", "kwargs": {}}, or {"option": "grid_trap", "settings": {"size":
                10}} with an option of this program's group `env`; empty where nobody can run it.
            max_steps: time limit of an episode.
            source: where episodes and labels come from, in words.
            told: what a model is told of who labelled, by kind and name.

        Raises:
            FolderFault: there is something in the folder, or the environment is described in other words.
            ValueError: a space is neither Box nor Discrete.
        """
        path = Path(path)
        if path.exists() and (not path.is_dir() or any(path.iterdir())):
            raise FolderFault(path, DESCRIPTION, "cannot be made: the folder is there and not empty")
        spaces = Space.from_gymnasium(observation_space), Space.from_gymnasium(action_space)
        description = Description(*spaces, environment or {}, max_steps, source, told or {})
        path.mkdir(parents=True, exist_ok=True)
        append(path, [])
        description.write(path)
        return cls.open(path)

    @classmethod
    def open(cls, path: Path | str) -> "FeedbackFolder":
        """A folder that is there.

        Raises:
            FolderFault: it is none.
        """
        return cls(Path(path), read_description(Path(path)))

    # Episodes --------------------------------------------------------------------------------------------------------

    def add_episode(self, observations: Any, actions: Any, rewards: Any = None, terminated: bool = False) -> int:
        """Add an episode of T steps; returns its number.

        Args:
            observations: shape (T + 1, ...); the last one followed the last step.
            actions: shape (T, ...).
            rewards: true ones, shape (T,); None where nobody knows them.
            terminated: whether the last step ended the episode; a time limit does not.
        """
        arrays = (None if x is None else np.asarray(x) for x in (observations, actions, rewards))
        return self.add_episodes([Episode(*arrays, terminated=terminated)])[0]  # type: ignore[arg-type]

    def add_episodes(self, episodes: Iterable[Episode], videos: Sequence[Path] = ()) -> range:
        """Add episodes, all or none; returns their numbers.

        Args:
            videos: of each, .mp4 files on the same disk, which are moved to their places; or none at all.

        Raises:
            FolderFault: one of them is not what the description says.
            ConfigurationError: Minari is not installed.
        """
        checked = list(episodes)
        for number, each in enumerate(checked):
            ends = np.zeros(len(each), dtype=bool)
            rewards = np.zeros(len(each)) if each.rewards is None else each.rewards
            check_episode(self.path, number, self.description, each.observations, each.actions, rewards, ends)
        with lock(self.path):
            numbers = append_episodes(self.path, self.description, checked)
            if videos:
                place_videos(self.path, numbers, videos)
        self._lengths = None
        return numbers

    def video(self, number: int) -> Path | None:
        """The video of an episode, whose frame t shows the state that action t is taken in; None without one."""
        path = video_path(self.path, number)
        return path if path.is_file() else None

    def episodes(self) -> Episodes:
        """All episodes.

        Raises:
            FolderFault: they are missing, damaged, or not what the description says.
        """
        found = read_episodes(self.path, self.description)
        self._lengths = found.lengths
        return found

    def lengths(self) -> np.ndarray:
        """Steps of each episode, shape (E,)."""
        if self._lengths is None:
            self._lengths = read_lengths(self.path)
        return self._lengths

    def count(self) -> int:
        """How many episodes there are; a new folder has none yet."""
        return count_episodes(self.path)

    # Labels ----------------------------------------------------------------------------------------------------------

    def add(self, type: str, **fields: Any) -> str:
        """Add a label; returns its id.

        Args:
            type: preference, rating, stop or demonstration.
            fields: those of the format, such as segments and choice; id and time are made where they are not given.

        Raises:
            FolderFault: it is not as the format has it, or about steps that are not there.
        """
        return self.add_all([{"type": type, **fields}])[0]

    def add_all(self, labels: Sequence[Mapping[str, Any]]) -> list[str]:
        """Add labels, as `add` does; returns their ids. Nothing is written unless all can be."""
        lines = [{"id": uuid.uuid4().hex, "time": round(time.time(), 3), **each} for each in labels]
        for line in lines:
            try:
                check_place(label_of(line), self.lengths())
            except BadLabel as error:
                raise FolderFault(self.path, FEEDBACK, f"a new label cannot be added: {error}") from error
        append(self.path, lines)
        return [line["id"] for line in lines]

    def labels(self, lengths: np.ndarray | None = None) -> list[Label]:
        """The labels that stand: in the order of their lines, a corrected one in the place of the first.

        Args:
            lengths: steps of every episode, which labels must be about; None where that is not to be asked.

        Raises:
            FolderFault: a line is no label, or about steps that are not there; an id stands twice; or one replaces a
                label that is not there before it.
        """
        return self._standing(None if lengths is None else lengths.tolist())[0]

    def _standing(self, lengths: Sequence[int] | None) -> tuple[list[Label], int]:
        """The labels that stand, and how many lines there are."""
        standing: dict[str, Label] = {}  # by the id of the first of those that replace one another
        origin: dict[str, str] = {}
        for number, line in read(self.path):
            try:
                label = label_of(line, number)
                if label.id in origin:
                    raise BadLabel(f"id {label.id} stands twice")
                if label.replaces is not None and label.replaces not in origin:
                    raise BadLabel(f"replaces {label.replaces}, which no earlier line has as its id")
                if lengths is not None:
                    check_place(label, lengths)
            except BadLabel as error:
                raise FolderFault(self.path, FEEDBACK, str(error), number) from error
            origin[label.id] = label.id if label.replaces is None else origin[label.replaces]
            standing[origin[label.id]] = label
        return list(standing.values()), len(origin)

    def validate(self) -> Summary:
        """Read everything.

        Returns:
            What there is.

        Raises:
            FolderFault: for the first thing that is wrong.
        """
        lengths = self.episodes().lengths
        labels, n_lines = self._standing(lengths.tolist())
        kinds: dict[str, int] = {}
        for label in labels:
            kinds[label.type] = kinds.get(label.type, 0) + 1
        who = tuple(sorted({label.annotator for label in labels}))
        return Summary(len(lengths), int(lengths.sum()), kinds, n_lines - len(labels), who)
