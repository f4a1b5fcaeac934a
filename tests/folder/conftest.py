"""A small feedback folder of CartPole's spaces."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest

from mavrl.folder.episodes import Episode
from mavrl.folder.folder import FeedbackFolder

LENGTHS = (10, 20, 30)


@pytest.fixture
def make_episode() -> Callable[..., Episode]:
    def make(n_steps: int = 10, seed: int = 0, terminated: bool = True, **changed: Any) -> Episode:
        stream = np.random.default_rng(seed)
        arrays = {
            "observations": stream.normal(size=(n_steps + 1, 4)).astype(np.float32),
            "actions": stream.integers(0, 2, n_steps),
            "rewards": stream.normal(size=n_steps),
        }
        return Episode(**{**arrays, **changed}, terminated=terminated)

    return make


@pytest.fixture
def folder(tmp_path: Path, make_episode: Callable[..., Episode]) -> FeedbackFolder:
    """Three episodes of 10, 20 and 30 steps, the last of which was cut off, and no label."""
    spaces = gymnasium.spaces.Box(-np.inf, np.inf, (4,), np.float32), gymnasium.spaces.Discrete(2)
    made = FeedbackFolder.create(tmp_path / "folder", *spaces, {"id": "CartPole-v1"}, 500, "made up")
    made.add_episodes([make_episode(n, seed, n < 30) for seed, n in enumerate(LENGTHS)])
    return made
