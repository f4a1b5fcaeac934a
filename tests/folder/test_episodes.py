"""Recorded episodes: what is written comes back, Minari reads it, and what does not fit is named."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import minari
import numpy as np
import pytest

from mavrl.folder import episodes as module
from mavrl.folder.episodes import EPISODES, Episode
from mavrl.folder.faults import FolderFault
from mavrl.folder.folder import FeedbackFolder


def test_episodes_come_back_end_to_end(folder: FeedbackFolder, make_episode: Callable[..., Episode]) -> None:
    found = folder.episodes()
    expected = [make_episode(n, seed) for seed, n in enumerate((10, 20, 30))]
    assert found.lengths.tolist() == folder.lengths().tolist() == [10, 20, 30]
    assert found.first.tolist() == [0, 10, 30]
    assert found.terminated.tolist() == [True, True, False]
    np.testing.assert_array_equal(found.observations, np.concatenate([each.observations for each in expected]))
    np.testing.assert_array_equal(found.actions, np.concatenate([each.actions for each in expected]))
    rewards = [each.rewards for each in expected if each.rewards is not None]
    np.testing.assert_array_equal(found.rewards, np.concatenate(rewards))


def test_minari_opens_them(folder: FeedbackFolder) -> None:
    held = minari.MinariDataset(folder.path / EPISODES)
    assert (held.total_episodes, held.total_steps) == (3, 60)
    assert [episode.terminations[-1] for episode in held] == [True, True, False]
    assert [episode.truncations[-1] for episode in held] == [False, False, True]
    assert held.action_space == folder.description.action_space.to_gymnasium()


def test_a_relative_path_will_do(
    folder: FeedbackFolder, make_episode: Callable[..., Episode], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder.path.parent)
    relative = FeedbackFolder.open(folder.path.name)
    assert relative.add_episode(*(getattr(make_episode(7), name) for name in ("observations", "actions"))) == 3
    assert relative.episodes().lengths.tolist() == [10, 20, 30, 7]


def test_more_can_be_added(folder: FeedbackFolder, make_episode: Callable[..., Episode]) -> None:
    assert folder.add_episodes([make_episode(5), make_episode(6)]) == range(3, 5)
    unknown = make_episode(7)
    assert folder.add_episode(unknown.observations, unknown.actions) == 5
    assert folder.lengths().tolist() == [10, 20, 30, 5, 6, 7]
    found = folder.episodes()
    assert found.rewards is None  # of one episode nobody knows them
    assert found.terminated.tolist() == [True, True, False, True, True, False]


def test_a_kill_while_episodes_are_added_changes_nothing(
    folder: FeedbackFolder, make_episode: Callable[..., Episode], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_buffer", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        folder.add_episode(*(lambda e: (e.observations, e.actions))(make_episode()))
    monkeypatch.undo()
    assert folder.episodes().lengths.tolist() == [10, 20, 30]
    assert sorted(path.name for path in folder.path.iterdir()) == [".lock", "dataset.json", EPISODES, "feedback.jsonl"]


OBSERVATIONS = np.zeros((11, 4), np.float32)
BAD: dict[str, tuple[dict[str, Any], str]] = {
    "one observation too few": ({"observations": OBSERVATIONS[1:]}, "10 actions and 10 observations; must have 11"),
    "rewards": ({"rewards": np.zeros(9)}, "10 actions and 9 rewards; must have 10"),
    "shape": ({"observations": OBSERVATIONS[:, :3]}, r"shape \(3,\); observation_space has \(4,\)"),
    "NaN": (
        {"observations": np.where(np.arange(11)[:, None] == 4, np.nan, OBSERVATIONS)},
        r"observations\[4\] has nan; must be finite",
    ),
    "an action that there is not": ({"actions": np.full(10, 2)}, r"actions\[0\] has 2; must be from 0 to 1"),
    "actions of fractions": ({"actions": np.zeros(10)}, "actions are float64; must be numbers from 0"),
    "vectors as actions": ({"actions": np.zeros((10, 2), int)}, r"actions have the shape \(2,\)"),
    "infinite rewards": ({"rewards": np.full(10, np.inf)}, r"rewards\[0\] is infinite"),
    "text": ({"observations": np.full((11, 4), "x")}, "must be numbers"),
    "no steps": ({"observations": OBSERVATIONS[:1], "actions": np.zeros(0, int), "rewards": np.zeros(0)}, "no steps"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_does_not_fit_is_refused(name: str, folder: FeedbackFolder, make_episode: Callable[..., Episode]) -> None:
    changed, said = BAD[name]
    with pytest.raises(FolderFault, match=said):
        folder.add_episodes([make_episode(), replace(make_episode(), **changed)])
    assert folder.lengths().tolist() == [10, 20, 30]


def test_what_others_have_written_is_checked_too(folder: FeedbackFolder) -> None:
    import h5py

    with h5py.File(folder.path / EPISODES / "main_data.hdf5", "a") as file:
        file["episode_1/terminations"][3] = True
    with pytest.raises(FolderFault, match="episodes, episode 1: terminates at step 3 and goes on to step 19"):
        folder.episodes()
    with h5py.File(folder.path / EPISODES / "main_data.hdf5", "a") as file:
        del file["episode_1/actions"]
    with pytest.raises(FolderFault, match="cannot be read"):
        folder.episodes()


@pytest.mark.parametrize("name", ["main_data.hdf5", "metadata.json"])
def test_missing_and_damaged_files_are_named(name: str, folder: FeedbackFolder) -> None:
    path = folder.path / EPISODES / name
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(FolderFault, match="cannot be read") as raised:
        folder.episodes()
    assert "\n" not in str(raised.value)
    path.unlink()
    with pytest.raises(FolderFault, match=f"{name}: is missing"):
        folder.episodes()


def test_other_spaces_than_described_are_refused(folder: FeedbackFolder, make_episode: Callable[..., Episode]) -> None:
    text = (folder.path / "dataset.json").read_text(encoding="utf-8")
    (folder.path / "dataset.json").write_text(text.replace('"n": 2', '"n": 3'), encoding="utf-8")
    with pytest.raises(FolderFault, match=r"has the action_space Discrete\(2\); dataset.json says Discrete\(3\)"):
        FeedbackFolder.open(folder.path).episodes()
