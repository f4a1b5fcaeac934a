"""Episodes and demonstrations that RLHF-Blender recorded, npz files in its folder data/.

What its recorder writes into the last row of an episode, and to which step the reward of a row belongs, has changed
between its versions and cannot be told from a file. So the last row and the step before it are given up, and rewards
are not read.
"""

from collections import Counter
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mavrl.importers.base import LAST_STEP, NO_PLACE, Episode, bad_row, choices, features

LAST_ROWS = "last two steps of recorded episodes, because the rows of different versions differ there"
REWARDS = "rewards of recorded episodes, because versions differ on the step that a row's reward belongs to"

NO_FILE = "the episode is not in the folder"
NOT_ARRAYS = "the episode has no plain arrays obs and actions of numbers, one row a step"
SEVERAL = "the file of the episode holds several"
SHORT = "the episode is too short"
NOT_FINITE = "the episode holds NaN or an infinite number"
ONE_OBSERVATION = "the demonstration was recorded with the first observation at every step, a fault of some versions"

_READ = ("obs", "actions", "dones")


class Reference(NamedTuple):
    """What an episode is called in a log.

    Args:
        env_name: environment.
        kind: of benchmark, such as trained; "generated" for a demonstration.
        benchmark: number of the experiment.
        checkpoint: of its agent.
        number: of the episode.
    """

    env_name: str
    kind: str
    benchmark: int
    checkpoint: int
    number: int


class RecordedEpisodes:
    """Episodes of a folder data/, read when they are asked for and numbered in that order.

    Args:
        folder: with episodes/ and generated_demos/ in it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.episodes: list[Episode] = []
        self.left_out: Counter[str] = Counter()
        self._known: dict[Path, int | str] = {}

    def recorded(self, reference: Reference) -> int | str:
        """The number of an episode, or else why there is none."""
        env = reference.env_name
        for name in (env.replace("/", "-"), env.replace("/", "_").replace(":", "_")):  # of older and newer versions
            run = f"{name}_{reference.benchmark}_{reference.checkpoint}"
            file = self.folder / "episodes" / name / run / f"benchmark_{reference.number}.npz"
            if file.is_file():
                return self._number(file, generated=False)
        return NO_FILE

    def demonstration(self, session: str, number: int, told: str | None) -> int | str:
        """The number of a demonstration, or else why there is none.

        Args:
            session: that it was given in.
            number: of the demonstration in this session.
            told: its file, where the log says; only the name counts.
        """
        names = [Path(told).name] if told else []
        for name in (*names, f"{Path(session).name}_{number}.npz"):
            file = self.folder / "generated_demos" / name
            if file.is_file():
                return self._number(file, generated=True)
        return NO_FILE

    def _number(self, file: Path, generated: bool) -> int | str:
        if file not in self._known:
            episode = self._read(file, generated)
            self._known[file] = episode if isinstance(episode, str) else len(self.episodes)
            if isinstance(episode, Episode):
                self.episodes.append(episode)
        return self._known[file]

    def _read(self, file: Path, generated: bool) -> Episode | str:
        try:
            with np.load(file, allow_pickle=False) as arrays:
                others = sorted(set(arrays.files) - {*_READ, "rewards"})
                obs, actions = features(arrays["obs"]), choices(arrays["actions"])
                dones = arrays["dones"].reshape(-1) if "dones" in arrays.files else np.zeros(0, dtype=bool)
        except Exception:  # a damaged file can raise anything
            return NOT_ARRAYS
        steps, extra = len(actions), len(obs) - len(actions)
        if extra not in (0, 1) or any(array.dtype.kind not in "iufb" for array in (obs, actions)):
            return NOT_ARRAYS
        if dones[:-1].any():
            return SEVERAL
        kept = steps if extra else steps - 1 if generated else steps - 2
        if kept < 1:
            return SHORT
        if bad_row(obs[: kept + 1]) is not None or bad_row(actions[:kept]) is not None:
            return NOT_FINITE
        if generated and kept > 1 and (obs == obs[0]).all():
            return ONE_OBSERVATION
        self.left_out[LAST_STEP if generated else LAST_ROWS] += steps - kept
        self.left_out[REWARDS] += 1
        if others:
            self.left_out[f"{NO_PLACE}: {', '.join(others)}"] += len(others)
        return Episode(obs[: kept + 1], actions[:kept], None, terminated=False, truncated=True)
