"""The data-set cache: whole entries or none."""

import logging
import multiprocessing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mavrl.errors import StorageError
from mavrl.storage import files
from mavrl.storage.answers import AnswerStore, Arrays

KEY = {"kind": "rating", "seed": 3, "environment": {"size": 4}}


def _arrays(n: int, scale: int = 1) -> Arrays:
    return {"state": scale * np.arange(3 * n, dtype=np.int32).reshape(n, 3), "valid": np.ones((n, 3), dtype=bool)}


def _entry(cache: AnswerStore, key: dict[str, Any] = KEY) -> Path:
    path = cache.path(key)
    assert path is not None
    return path


def test_what_is_written_is_read(tmp_path: Path) -> None:
    cache = AnswerStore(tmp_path)
    cache.write(KEY, _arrays(5), 5)
    arrays = cache.read(KEY, 5)
    assert arrays is not None
    for name, array in _arrays(5).items():
        assert arrays[name].dtype == array.dtype
        assert np.array_equal(arrays[name], array)


def test_observations_are_kept_to_the_last_bit(tmp_path: Path) -> None:
    cache = AnswerStore(tmp_path)
    rng = np.random.default_rng(0)
    observations = rng.standard_normal((5, 3, 4)).astype(np.float32)
    observations[0, 0] = [np.inf, -0.0, 1e-45, np.nextafter(np.float32(1), np.float32(2))]
    arrays = {"state": observations, "strided": observations[:, ::2, 1:], "teacher_rate": np.float64(1) / 3}
    cache.write(KEY, arrays, 5)
    read = cache.read(KEY, 5)
    assert read is not None
    for name, array in arrays.items():
        assert read[name].dtype == array.dtype
        assert read[name].shape == array.shape
        assert read[name].tobytes() == array.tobytes()


def test_an_entry_serves_smaller_requests_and_not_larger_ones(tmp_path: Path) -> None:
    cache = AnswerStore(tmp_path)
    cache.write(KEY, _arrays(5), 5)
    assert cache.read(KEY, 1) is not None
    assert cache.read(KEY, 6) is None
    cache.write(KEY, _arrays(6), 6)
    assert cache.read(KEY, 6) is not None
    assert len(list(tmp_path.rglob("*.safetensors"))) == 1


def test_another_key_is_another_entry(tmp_path: Path) -> None:
    cache = AnswerStore(tmp_path)
    cache.write(KEY, _arrays(5), 5)
    assert cache.read({**KEY, "seed": 4}, 1) is None
    assert cache.read({**KEY, "environment": {"size": 5}}, 1) is None
    assert cache.read(dict(reversed(KEY.items())), 1) is not None


def test_without_a_directory_nothing_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    cache = AnswerStore(None)
    cache.write(KEY, _arrays(5), 5)
    assert cache.read(KEY, 5) is None
    assert cache.path(KEY) is None
    assert not list(tmp_path.iterdir())


def _truncate(content: bytes) -> bytes:
    return content[: len(content) // 2]


def _flip(content: bytes) -> bytes:
    return content[:-5] + bytes([content[-5] ^ 1]) + content[-4:]


def _flip_header(content: bytes) -> bytes:
    return bytes([content[0] ^ 1]) + content[1:]


@pytest.mark.parametrize("damage", [_truncate, _flip, _flip_header, lambda _: b"", lambda _: b"x" * 40])
def test_a_damaged_entry_is_warned_of_and_rebuilt(
    tmp_path: Path, damage: Any, caplog: pytest.LogCaptureFixture
) -> None:
    cache = AnswerStore(tmp_path)
    cache.write(KEY, _arrays(5), 5)
    path = _entry(cache)
    path.write_bytes(damage(path.read_bytes()))
    with caplog.at_level(logging.WARNING):
        assert cache.read(KEY, 5) is None
    assert str(path) in caplog.text
    assert "damaged" in caplog.text
    cache.write(KEY, _arrays(5), 5)
    assert cache.read(KEY, 5) is not None


def _write_often(directory: Path, scale: int) -> None:
    for _ in range(30):
        AnswerStore(directory).write(KEY, _arrays(2000, scale), 2000)


def test_readers_see_whole_entries_while_processes_write(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    cache = AnswerStore(tmp_path)
    cache.write(KEY, _arrays(2000, 1), 2000)
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=_write_often, args=(tmp_path, scale)) for scale in (1, 2, 3)]
    for writer in writers:
        writer.start()
    seen = set()
    with caplog.at_level(logging.WARNING):
        while any(writer.is_alive() for writer in writers):
            arrays = cache.read(KEY, 2000)
            assert arrays is not None
            scale = int(arrays["state"][0, 1])
            assert np.array_equal(arrays["state"], _arrays(2000, scale)["state"])
            seen.add(scale)
    for writer in writers:
        writer.join()
        assert writer.exitcode == 0
    assert not caplog.records
    assert seen <= {1, 2, 3}
    assert [path.suffix for path in _entry(cache).parent.iterdir()] == [".safetensors"]


def test_a_directory_that_cannot_be_made_gives_a_storage_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="file"):
        AnswerStore(tmp_path / "file" / "cache").write(KEY, _arrays(1), 1)


def test_a_full_disk_gives_a_storage_error_and_keeps_the_old_entry(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = AnswerStore(tmp_path)
    cache.write(KEY, _arrays(5), 5)

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(StorageError, match="No space left on device"):
        cache.write(KEY, _arrays(6), 6)
    assert cache.read(KEY, 5) is not None
    assert cache.read(KEY, 6) is None
    assert len(list(tmp_path.rglob("*"))) == 2  # the folder of the kind and the old entry: no rest of the new one


def test_a_directory_in_the_place_of_an_entry_is_warned_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    cache = AnswerStore(tmp_path)
    path = cache.path(KEY)
    assert path is not None
    path.mkdir(parents=True)
    with caplog.at_level(logging.WARNING):
        assert cache.read(KEY, 5) is None
        cache.write(KEY, _arrays(5), 5)
    assert f"cache entry {path} is a directory; its answers are not kept" in caplog.text
    assert path.is_dir()
