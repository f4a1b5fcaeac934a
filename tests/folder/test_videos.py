"""Videos that browsers play, or none at all."""

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from mavrl.errors import ConfigurationError, StorageError
from mavrl.folder.folder import FeedbackFolder
from mavrl.folder.videos import check_video_writer, filming

Reader = Callable[[Path], tuple[dict, np.ndarray]]


def _frames(count: int, height: int = 64, width: int = 64) -> list[np.ndarray]:
    return [np.full((height, width, 3), 20 * k % 256, np.uint8) for k in range(count)]


def test_browsers_play_it(tmp_path: Path, frames_of: Reader) -> None:
    with filming(tmp_path / "film.mp4", 12.5) as add:
        for frame in _frames(10):
            add(frame)
    about, frames = frames_of(tmp_path / "film.mp4")
    assert (about["codec"], about["pix_fmt"].partition("(")[0], about["fps"]) == ("h264", "yuv420p", 12.5)
    assert frames.mean((1, 2, 3)) == pytest.approx([20 * k for k in range(10)], abs=3)
    content = (tmp_path / "film.mp4").read_bytes()
    assert content.index(b"moov") < content.index(b"mdat")  # it can begin before it is all there


def test_odd_sizes_are_filled_up(tmp_path: Path, frames_of: Reader) -> None:
    with filming(tmp_path / "film.mp4", 4) as add:
        for frame in _frames(3, 33, 51):
            add(frame + np.uint8(100))
    _, frames = frames_of(tmp_path / "film.mp4")
    assert frames.shape == (3, 34, 52, 3)
    assert frames[0, 8:24, 8:40].mean() == pytest.approx(100, abs=3)


@pytest.mark.parametrize("count", [0, 3])
def test_a_failure_leaves_no_film(tmp_path: Path, count: int) -> None:
    def fail() -> None:
        with filming(tmp_path / "film.mp4", 4) as add:
            for frame in _frames(count):
                add(frame)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_is_not_there(tmp_path: Path) -> None:
    def film() -> None:
        with filming(tmp_path / "nowhere" / "film.mp4", 4) as add:
            for frame in _frames(2000):
                add(frame)

    with pytest.raises(StorageError, match=r"film\.mp4"):
        film()


def test_without_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    check_video_writer()
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    with pytest.raises(ConfigurationError, match=r'^task\.video=true: needs imageio-ffmpeg.*"mavrl\[data\]"'):
        check_video_writer()


class TestFolders:
    def test_videos_are_named_by_their_episodes(self, folder: FeedbackFolder, make_episode: Callable, tmp_path: Path):
        files = [tmp_path / name for name in ("a.mp4", "b.mp4")]
        for file in files:
            file.write_text(file.name, encoding="utf-8")
        assert folder.add_episodes([make_episode(), make_episode()], files) == range(3, 5)
        assert sorted(path.name for path in (folder.path / "videos").iterdir()) == ["3.mp4", "4.mp4"]
        assert folder.video(4).read_text(encoding="utf-8") == "b.mp4"  # type: ignore[union-attr]
        assert folder.video(0) is None
        assert not any(file.exists() for file in files)

    def test_earlier_episodes_stay_as_they_are(self, folder: FeedbackFolder, make_episode: Callable):
        before = folder.episodes()
        folder.add_episodes([make_episode(7, 9)])
        after = folder.episodes()
        assert folder.count() == 4
        for name in ("observations", "actions", "rewards", "lengths", "terminated"):
            old, new = getattr(before, name), getattr(after, name)
            assert new[: len(old)].tobytes() == old.tobytes()

    def test_a_new_folder_has_none(self, tmp_path: Path, folder: FeedbackFolder):
        spaces = (
            space.to_gymnasium() for space in (folder.description.observation_space, folder.description.action_space)
        )
        assert FeedbackFolder.create(tmp_path / "new", *spaces).count() == 0

    def test_a_folder_may_be_named_from_here(
        self, folder: FeedbackFolder, make_episode: Callable, monkeypatch: pytest.MonkeyPatch
    ):
        monkeypatch.chdir(folder.path.parent)
        here = FeedbackFolder.open(folder.path.name)
        assert here.add_episodes([make_episode()]) == range(3, 4)
        assert len(here.episodes()) == 4
