"""Learning from feedback in Python."""

from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest

import mavrl
from mavrl.errors import ConfigurationError

SPACES = (gymnasium.spaces.Discrete(16), gymnasium.spaces.Discrete(5))
SMALL = ("env.size=4", "trainer.max_epochs=2", "trainer.passes_per_epoch=1", "trainer.least_steps=1", "data.folds=2")
GRID = {"option": "grid_trap", "settings": {"size": 4}}


@pytest.fixture
def episodes() -> list[tuple[np.ndarray, np.ndarray]]:
    random = np.random.default_rng(0)
    return [(random.integers(16, size=6), random.integers(5, size=5)) for _ in range(6)]


@pytest.fixture
def labels() -> list[dict[str, Any]]:
    pairs = [(0, 1), (2, 3), (4, 5), (1, 0), (3, 2), (5, 4), (0, 2)]
    segments = [[{"episode": e, "start": 0, "stop": 5} for e in pair] for pair in pairs]
    return [{"type": "preference", "segments": pair, "choice": k % 2} for k, pair in enumerate(segments)]


@pytest.mark.filterwarnings("ignore")
def test_arrays_and_a_folder_of_them_are_learned_from_alike(
    episodes: Any, labels: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = {"replicates": 1, "progress": False}
    made = {"labels": labels, "spaces": SPACES, "environment": GRID}
    model = mavrl.learn(episodes, *SMALL, directory=tmp_path / "run", **made, **settings)
    assert model.metrics["held_out"]["kinds"]["preference"]["labels"] == 7
    assert (tmp_path / "run" / "figures" / "held_out.png").exists()
    assert capsys.readouterr().out == ""
    again = mavrl.learn(episodes, *SMALL, directory=tmp_path / "run", **made, replicates=1)  # found, not repeated
    assert again.metrics == model.metrics
    assert "this run was finished before" in capsys.readouterr().out
    folder = mavrl.FeedbackFolder.create(tmp_path / "labels", *SPACES, GRID)
    folder.add_episodes(mavrl.learning._episode(each) for each in episodes)  # type: ignore[attr-defined]
    folder.add_all(labels)
    other = mavrl.learn(folder, *SMALL, **settings)
    state, action, following = np.arange(16), np.zeros(16, dtype=int), np.arange(16)
    assert np.array_equal(other.mean(state, action, following), model.mean(state, action, following))
    assert other.metrics["held_out"] == model.metrics["held_out"]


def test_what_is_missing_or_said_twice_is_refused(episodes: Any, labels: Any, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="labels=null: is not there"):
        mavrl.learn(episodes, spaces=SPACES)
    with pytest.raises(ConfigurationError, match="spaces=null: is not there"):
        mavrl.learn(episodes, labels=labels)
    with pytest.raises(ConfigurationError, match="is a folder, which has labels"):
        mavrl.learn(tmp_path, labels=labels)
    with pytest.raises(ConfigurationError, match="there is no such folder"):
        mavrl.learn(tmp_path / "nowhere")
