"""Flat arrays are cut into episodes where they end, and what they do not tell is given up and counted."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from mavrl.errors import ConfigurationError
from mavrl.importers import Imported, read
from mavrl.importers.base import LAST_STEP, NO_PLACE, ONE_STEP

Arrays = dict[str, np.ndarray]
Write = Callable[[Arrays], Path]


def _firsts(imported: Imported) -> list[list[float]]:
    """The first feature of the observations of each episode."""
    return [episode.observations[:, 0].tolist() for episode in imported.episodes]


def test_episodes_end_where_terminals_and_timeouts_say(flat: Arrays, written: Write) -> None:
    imported = read("arrays", written(flat), env_id="Walk-v0")
    assert _firsts(imported) == [[0, 1, 2, 102], [3, 4, 5, 6, 106], [7, 8, 108]]
    assert [episode.actions.tolist() for episode in imported.episodes] == [[0, 1, 0], [1, 0, 1, 0], [1, 0]]
    assert [list(e.rewards) for e in imported.episodes if e.rewards is not None] == [
        [0, 10, 20],
        [30, 40, 50, 60],
        [70, 80],
    ]
    assert [(e.terminated, e.truncated) for e in imported.episodes] == [(True, False), (False, True), (False, True)]
    assert imported.environment == {"id": "Walk-v0", "kwargs": {}}
    assert imported.labels == []
    assert imported.left_out == {}


def test_without_next_observations_last_steps_are_given_up(flat: Arrays, written: Write) -> None:
    del flat["next_observations"]
    imported = read("arrays", written(flat))
    assert _firsts(imported) == [[0, 1, 2], [3, 4, 5, 6], [7, 8]]
    assert [len(episode.actions) for episode in imported.episodes] == [2, 3, 1]
    assert [(e.terminated, e.truncated) for e in imported.episodes] == 3 * [(False, True)]
    assert imported.left_out == {LAST_STEP: 3}
    assert imported.environment == {}


def test_an_episode_of_one_step_is_given_up_with_it(flat: Arrays, saved: Write) -> None:
    del flat["next_observations"]
    flat["terminals"][3] = True
    imported = read("arrays", saved(flat))
    assert _firsts(imported) == [[0, 1, 2], [4, 5, 6], [7, 8]]
    assert imported.left_out == {LAST_STEP: 4, ONE_STEP: 1}


def test_an_episode_ends_where_the_next_observation_is_another(flat: Arrays, saved: Write) -> None:
    del flat["timeouts"]
    imported = read("arrays", saved(flat))
    assert _firsts(imported) == [[0, 1, 2, 102], [3, 4, 5, 6, 106], [7, 8, 108]]


def test_a_terminal_row_followed_by_the_next_episode_is_not_believed(flat: Arrays, saved: Write) -> None:
    """d4rl.qlearning_dataset shifts observations by a row: what follows a terminal row is the next reset."""
    flat["next_observations"][2] = flat["observations"][3]
    imported = read("arrays", saved(flat))
    assert _firsts(imported) == [[0, 1, 2], [3, 4, 5, 6, 106], [7, 8, 108]]
    assert imported.left_out == {LAST_STEP: 1}


def test_numbered_states_and_columns(saved: Write) -> None:
    states = np.array([0, 1, 5, 5, 2])
    arrays = {
        "observations": states,
        "next_observations": np.array([1, 5, 3, 2, 4]),
        "actions": np.array([1.0, 0.5, 0.0, 1.0, 0.5]),
        "rewards": np.ones((5, 1)),
        "terminals": np.array([[0], [0], [1], [0], [0]]),
    }
    first, second = read("arrays", saved(arrays)).episodes
    assert first.observations.tolist() == [0, 1, 5, 3]
    assert first.actions.tolist() == [[1.0], [0.5], [0.0]]
    assert first.rewards is not None
    assert first.rewards.tolist() == [1, 1, 1]
    assert first.terminated
    assert second.observations.tolist() == [5, 2, 4]


def test_images_become_rows_of_features(flat: Arrays, saved: Write) -> None:
    flat["observations"] = np.arange(9 * 6, dtype=np.uint8).reshape(9, 2, 3)
    del flat["next_observations"]
    episode = next(iter(read("arrays", saved(flat)).episodes))
    assert episode.observations.dtype == np.uint8
    assert episode.observations.tolist() == np.arange(18).reshape(3, 6).tolist()


def test_each_episode_is_a_demonstration_if_so_said(flat: Arrays, saved: Write) -> None:
    labels = read("arrays", saved(flat), demonstrations=True).labels
    assert labels == [{"type": "demonstration", "episode": number} for number in range(3)]


def test_other_arrays_are_counted_by_name(flat: Arrays, written: Write) -> None:
    flat |= {"infos/qpos": np.zeros(9), "infos/qvel": np.zeros(9)}
    path = written(flat)
    assert read("arrays", path).left_out == {f"{NO_PLACE}: infos/qpos, infos/qvel": 2}


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("observations", None, "observations: is not in the file"),
        ("actions", None, "actions: is not in the file"),
        ("actions", np.zeros((8, 1)), "actions: has 8 rows, but observations have 9"),
        ("observations", np.zeros((0, 2)), "observations: has no rows"),
        ("rewards", np.zeros((9, 2)), r"rewards: has shape \(9, 2\); one number a row is wanted"),
        ("rewards", np.array(9 * [b"x"]), r"rewards: holds \|S1, not numbers"),
        ("terminals", np.arange(9), r"terminals: row 2 \(from 0\) holds 2; 0 or 1 is wanted"),
        ("next_observations", np.zeros((9, 3)), r"next_observations: shape \(9, 3\), but observations have \(9, 2\)"),
        ("rewards", np.where(np.arange(9) == 4, np.nan, 0), r"rewards: row 4 \(from 0\) holds NaN"),
    ],
)
def test_what_is_wrong_is_said_with_file_array_and_row(
    name: str, value: np.ndarray | None, message: str, flat: Arrays, written: Write
) -> None:
    flat.pop(name)
    if value is not None:
        flat[name] = value
    path = written(flat)
    with pytest.raises(ConfigurationError, match=message) as raised:
        read("arrays", path)
    assert str(raised.value).startswith(f"path={path}: {name}: ")
    assert "\n" not in str(raised.value)


def test_arrays_that_do_not_say_where_episodes_end_are_refused(flat: Arrays, saved: Write) -> None:
    del flat["terminals"], flat["timeouts"]
    with pytest.raises(ConfigurationError, match="terminals and timeouts: neither is in the file"):
        read("arrays", saved(flat))


def test_python_objects_are_not_read(flat: Arrays, saved: Write) -> None:
    flat["rewards"] = np.array(9 * [{}], dtype=object)
    with pytest.raises(ConfigurationError, match=r"must be an HDF5 file .* or an npz of plain arrays; Object arrays"):
        read("arrays", saved(flat))


@pytest.mark.parametrize("name", ["missing.npz", "damaged.npz", "damaged.hdf5"])
def test_a_file_that_cannot_be_read_is_one_line(name: str, tmp_path: Path) -> None:
    if name.startswith("damaged"):
        (tmp_path / name).write_bytes(b"PK\x03\x04 nothing")
    with pytest.raises(ConfigurationError, match=f"^path={tmp_path / name}: ") as raised:
        read("arrays", tmp_path / name)
    assert "\n" not in str(raised.value)
