"""Trajectories that imitation wrote, in both of its forms."""

import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from mavrl.errors import ConfigurationError
from mavrl.importers import read
from mavrl.importers.base import NO_PLACE_INFOS
from mavrl.importers.imitation import UNSURE_END

FILES = Path(__file__).parent / "files"


@pytest.mark.parametrize("name", ["imitation", "imitation.npz"])
def test_trajectories_are_those_that_were_written(name: str) -> None:
    imported = read("imitation", FILES / name, env_id="Walk-v0")
    rng = np.random.default_rng(0)  # as write_files.py drew them
    for steps, episode in zip((3, 4, 2), imported.episodes, strict=True):
        assert np.array_equal(episode.observations, rng.normal(size=(steps + 1, 2)).astype(np.float32))
        assert episode.observations.dtype == np.float32
        assert np.array_equal(episode.actions, rng.integers(0, 2, size=steps))
        assert episode.rewards is not None
        assert episode.rewards.tolist() == list(range(steps))
    assert imported.labels == [{"type": "demonstration", "episode": number} for number in range(3)]
    assert imported.environment == {"id": "Walk-v0", "kwargs": {}}


def test_a_folder_says_which_end_was_a_time_limit() -> None:
    imported = read("imitation", FILES / "imitation", demonstrations=False)
    assert [(e.terminated, e.truncated) for e in imported.episodes] == [(True, False), (False, True), (False, True)]
    assert imported.labels == []
    assert imported.left_out == {NO_PLACE_INFOS: 3}


def test_an_npz_does_not_say_it_and_that_is_counted() -> None:
    imported = read("imitation", FILES / "imitation.npz")
    assert [(e.terminated, e.truncated) for e in imported.episodes] == [(True, False), (True, False), (False, True)]
    assert imported.left_out == {NO_PLACE_INFOS: 3, UNSURE_END: 2}


def test_a_published_dataset_is_a_folder_of_parquet_files(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    table = pl.read_ipc_stream(FILES / "imitation" / "data-00000-of-00001.arrow")
    table.write_parquet(tmp_path / "data" / "train-00000-of-00001.parquet")
    assert [len(episode) for episode in read("imitation", tmp_path).episodes] == [3, 4, 2]


def test_lengths_that_do_not_go_together_are_named(tmp_path: Path) -> None:
    with np.load(FILES / "imitation.npz", allow_pickle=True) as file:
        arrays = dict(file) | {"obs": file["obs"][:-1]}
    np.savez(tmp_path / "short.npz", **arrays)
    with pytest.raises(ConfigurationError, match="trajectory 2, obs: has 2 rows; for 2 actions 3 are wanted"):
        read("imitation", tmp_path / "short.npz")


def test_nan_is_named_with_its_place(tmp_path: Path) -> None:
    with np.load(FILES / "imitation.npz", allow_pickle=True) as file:
        arrays = dict(file)
    arrays["rews"][4] = np.nan
    np.savez(tmp_path / "nan.npz", **arrays)
    with pytest.raises(ConfigurationError, match=r"trajectory 1, rews: row 1 \(from 0\) holds NaN"):
        read("imitation", tmp_path / "nan.npz")


@pytest.mark.parametrize("name", ["missing", "old.pkl", "empty", "damaged.npz", "damaged"])
def test_what_is_not_of_this_form_is_one_line(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    if name == "empty":
        path.mkdir()
    elif name == "damaged":
        shutil.copytree(FILES / "imitation", path)
        (path / "data-00000-of-00001.arrow").write_bytes(b"nothing")
    elif name != "missing":
        path.write_bytes(b"nothing")
    with pytest.raises(ConfigurationError, match=f"^path={path}: ") as raised:
        read("imitation", path)
    assert "\n" not in str(raised.value)
