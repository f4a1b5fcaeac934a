"""Minari datasets, one that is stored beside the tests and some that Minari writes here."""

from pathlib import Path
from typing import Any

import gymnasium
import minari
import numpy as np
import pytest
from gymnasium.spaces import Box, Dict, Discrete, MultiDiscrete, Space
from minari.data_collector import EpisodeBuffer

from mavrl.errors import ConfigurationError
from mavrl.importers import read
from mavrl.importers.base import NO_PLACE_INFOS

STORED = Path(__file__).parent / "files" / "minari" / "cartpole" / "test-v0"


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Has Minari write a dataset of one episode of two steps, and says in which folder."""
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path))

    def dataset(observation_space: Space, action_space: Space, observations: Any, actions: Any, **changes: Any) -> Path:
        ends = {"rewards": [1.0, 2.0], "terminations": [False, True], "truncations": [False, False], **changes}
        minari.create_dataset_from_buffers(
            "made/here-v0",
            [EpisodeBuffer(observations=observations, actions=actions, **ends)],
            observation_space=observation_space,
            action_space=action_space,
            **dict.fromkeys(("algorithm_name", "author", "author_email", "code_permalink", "description"), "none"),
        )
        return tmp_path / "made" / "here-v0"

    return dataset


@pytest.mark.parametrize("path", [STORED, STORED / "data"])
@pytest.mark.filterwarnings("ignore")
def test_a_stored_dataset(path: Path) -> None:
    imported = read("minari", path)
    fallen, cut = imported.episodes
    assert (fallen.terminated, fallen.truncated) == (True, False)
    assert (cut.terminated, cut.truncated) == (False, True)
    assert fallen.actions.tolist() == 11 * [0]
    assert cut.actions.tolist() == 6 * [0, 1]
    assert fallen.observations.shape == (12, 4)
    assert fallen.rewards is not None
    assert fallen.rewards.tolist() == 11 * [1.0]
    env = gymnasium.make("CartPole-v1")
    assert np.array_equal(cut.observations[0], env.reset(seed=0)[0])
    assert imported.observation_space == env.observation_space
    assert imported.action_space == Discrete(2)
    assert imported.environment == {"id": "CartPole-v1", "kwargs": {}}
    assert imported.max_steps == 12
    assert imported.source == "Minari dataset cartpole/test-v0"
    assert imported.labels == []
    assert imported.left_out == {NO_PLACE_INFOS: 2}


@pytest.mark.filterwarnings("ignore")
def test_a_dataset_by_its_id(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(STORED.parents[1]))
    imported = read("minari", "cartpole/test-v0", demonstrations=True)
    assert imported.labels == [{"type": "demonstration", "episode": 0}, {"type": "demonstration", "episode": 1}]


@pytest.mark.filterwarnings("ignore")
def test_numbered_states_and_continuous_actions(write: Any) -> None:
    actions = [np.array([0.5, -0.5], dtype=np.float32), np.array([0.0, 1.0], dtype=np.float32)]
    imported = read("minari", write(Discrete(5), Box(-1, 1, (2,)), [0, 3, 4], actions))
    (episode,) = imported.episodes
    assert episode.observations.tolist() == [0, 3, 4]
    assert episode.actions.tolist() == [[0.5, -0.5], [0.0, 1.0]]
    assert imported.observation_space == Discrete(5)
    assert imported.action_space == Box(-1, 1, (2,))
    assert imported.environment == {}
    assert imported.max_steps is None
    assert imported.left_out == {}


@pytest.mark.filterwarnings("ignore")
def test_several_axes_become_one(write: Any) -> None:
    space = Box(np.array([[0.0, 1.0], [2.0, 3.0]]), 9.0, dtype=np.float64)
    observations = [np.arange(4.0).reshape(2, 2) + number for number in range(3)]
    imported = read("minari", write(space, Discrete(2), observations, [0, 1]))
    (episode,) = imported.episodes
    assert episode.observations.tolist() == [[0, 1, 2, 3], [1, 2, 3, 4], [2, 3, 4, 5]]
    assert isinstance(imported.observation_space, Box)
    assert imported.observation_space.low.tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("spaces", "values", "message"),
    [
        ((Dict(x=Discrete(2)), Discrete(2)), ({"x": [0, 1, 0]}, [0, 1]), "its observation space is Dict"),
        (
            (Discrete(2), MultiDiscrete([2, 2])),
            ([0, 1, 0], list(np.ones((2, 2), dtype=int))),
            "its action space is MultiDiscrete",
        ),
    ],
)
@pytest.mark.filterwarnings("ignore")
def test_other_spaces_are_refused_in_one_line(spaces: Any, values: Any, message: str, write: Any) -> None:
    path = write(*spaces, *values)
    with pytest.raises(ConfigurationError, match=f"^path={path}: {message}(Discrete)?; Box and Discrete are read$"):
        read("minari", path)


@pytest.mark.filterwarnings("ignore")
def test_nan_is_refused_with_its_place(write: Any) -> None:
    path = write(Discrete(2), Discrete(2), [0, 1, 0], [0, 1], rewards=[0.0, np.nan])
    with pytest.raises(ConfigurationError, match=r"episode 0, rewards: row 1 \(from 0\) holds NaN"):
        read("minari", path)


@pytest.mark.filterwarnings("ignore")
def test_an_end_before_the_last_step_is_refused(write: Any) -> None:
    path = write(Discrete(2), Discrete(2), [0, 1, 0], [0, 1], terminations=[True, False])
    with pytest.raises(ConfigurationError, match=r"episode 0, terminations: row 0 \(from 0\) ends it before its last"):
        read("minari", path)


def test_what_is_no_dataset_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path))
    with pytest.raises(ConfigurationError, match="must be the folder of a Minari dataset") as raised:
        read("minari", tmp_path / "nothing")
    assert "\n" not in str(raised.value)


def test_rewards_that_are_all_nan_are_not_known(write: Any) -> None:
    path = write(Discrete(2), Discrete(2), [0, 1, 0], [0, 1], rewards=[np.nan, np.nan])
    assert [episode.rewards for episode in read("minari", path).episodes] == [None]
