"""The task that makes a feedback folder of somebody else's files."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from mavrl.configuration.plain import plain
from mavrl.errors import ConfigurationError
from mavrl.folder.creation import check_new, creating
from mavrl.progress import stage


def import_feedback(config: DictConfig) -> None:
    """Read `task.path` with the importer `task.from`, and write all that it holds into a new folder, or nothing."""
    options = {key: value for key, value in plain(config.task).items() if key not in ("name", "from", "path")}
    word, path = config.task["from"], config.task.path
    for key, value in (("from", word), ("path", path), ("data", config.data.folder)):
        if value is None:
            raise ConfigurationError(key, None, "is not there; python run.py task=import from=... path=... data=FOLDER")
    place = Path(config.data.folder)
    check_new(place)
    with stage(config.progress, "importing"):
        from mavrl import importers
        from mavrl.folder.folder import FeedbackFolder

        found = importers.read(word, Path(path), **options)
        episodes = list(found.episodes)
        if not episodes:
            raise ConfigurationError("path", path, f"has no episode that can be converted; {_left_out(found.left_out)}")
        spaces = (
            found.observation_space or _space([each.observations for each in episodes]),
            found.action_space or _space([each.actions for each in episodes]),
        )
        with creating(place) as new:
            about = (found.environment, found.max_steps, found.source)
            folder = FeedbackFolder.create(new, *spaces, *about)
            folder.add_episodes(episodes)
            folder.add_all([{"tool": f"mavrl import {word}", **label} for label in found.labels])
            summary = folder.validate()
    counts = ", ".join(f"{count} {kind}" for kind, count in summary.labels.items()) or "no labels"
    print(f"{summary.episodes} episodes of {summary.steps} steps; {counts}")
    for reason, count in found.left_out.items():
        print(f"left out: {count} {reason}")
    print(place)


def _left_out(reasons: dict[str, int]) -> str:
    return "; ".join(f"{count} {reason}" for reason, count in reasons.items()) or "it holds none"


def _space(arrays: Sequence[Any]) -> Any:
    """A space that holds what was recorded, where the source does not tell which it was."""
    import numpy as np
    from gymnasium import spaces

    if arrays[0].ndim == 1 and arrays[0].dtype.kind in "iu":
        return spaces.Discrete(int(max(array.max() for array in arrays)) + 1)
    return spaces.Box(-np.inf, np.inf, arrays[0].shape[1:], np.float32)
