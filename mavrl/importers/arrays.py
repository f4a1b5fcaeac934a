"""Flat arrays as in D4RL, in an HDF5 or npz file."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from mavrl.importers.base import Imported, Importer, whole_demonstrations
from mavrl.importers.flat_arrays import read_flat


@dataclass(frozen=True)
class FlatArrays(Importer):
    """Reader of flat arrays: observations, actions, rewards, terminals, timeouts, next_observations; one row a step.

    The arrays do not name their environment or its spaces.

    Args:
        env_id: id of the environment that they were recorded in.
        demonstrations: whether each episode is a demonstration; otherwise there are no labels.
    """

    name: ClassVar[str] = "flat arrays"

    env_id: str | None = None
    demonstrations: bool = False

    def read(self, path: Path) -> Imported:
        found = read_flat(path, "path")
        return Imported(
            environment=named(self.env_id),
            observation_space=None,
            action_space=None,
            max_steps=None,
            source=f"flat arrays in {path.name}",
            episodes=found.episodes,
            labels=whole_demonstrations(found.episodes) if self.demonstrations else [],
            left_out=dict(found.left_out),
        )


def named(env_id: str | None) -> dict[str, object]:
    """An environment of which only the id is known, if that."""
    return {} if env_id is None else {"id": env_id, "kwargs": {}}
