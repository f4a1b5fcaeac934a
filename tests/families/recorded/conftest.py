"""Small feedback folders whose environment nobody can run, and the words of a run on them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest

from mavrl.folder.folder import FeedbackFolder

A, B = {"episode": 0, "start": 0, "stop": 4}, {"episode": 1, "start": 2, "stop": 5}
LABELS: dict[str, dict[str, Any]] = {
    "p": {"type": "preference", "segments": [A, B], "choice": 1},
    "d": {"type": "demonstration", "episode": 1},
    "r": {"type": "rating", "segment": B, "value": 2, "scale": [1, 3]},
    "s": {"type": "stop", "segment": A, "step": 2},
}


@pytest.fixture
def make_folder(tmp_path: Path) -> Callable[..., FeedbackFolder]:
    """Three episodes of 6 steps with one label of each kind."""

    def make(
        kinds: str = "pdrs",
        name: str = "folder",
        observations: Any = None,
        actions: Any = None,
        rewards: bool = False,
        environment: dict | None = None,
    ) -> FeedbackFolder:
        stream = np.random.default_rng(0)
        spaces = observations or gymnasium.spaces.Box(-np.inf, np.inf, (3,)), actions or gymnasium.spaces.Discrete(2)
        folder = FeedbackFolder.create(tmp_path / name, *spaces, environment or {})
        for _ in range(3):
            seen, taken = (
                stream.integers(0, space.n, count)
                if isinstance(space, gymnasium.spaces.Discrete)
                else stream.normal(size=(count, *space.shape)).astype(np.float32)
                for space, count in zip(spaces, (7, 6), strict=True)
            )
            folder.add_episode(seen, taken, np.arange(6.0) if rewards else None, terminated=True)
        folder.add_all([LABELS[letter] for letter in kinds])
        return folder

    return make
