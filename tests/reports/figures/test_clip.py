"""Clips of an episode."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mavrl.reports.figures.clip import save_clip


def _frames(count: int, height: int = 40, width: int = 60) -> list[np.ndarray]:
    return [np.full((height, width, 3), 5 * (k % 50), dtype=np.uint8) for k in range(count)]


@pytest.mark.parametrize(
    ("count", "fps", "shown", "milliseconds"),
    [(10, 25.0, 10, 40), (10, 50.0, 5, 40), (1000, 25.0, 200, 40), (7, 4.0, 7, 250)],
)
def test_pictures_run_at_their_speed(tmp_path: Path, count: int, fps: float, shown: int, milliseconds: int) -> None:
    save_clip(_frames(count), fps, tmp_path / "a.gif")
    with Image.open(tmp_path / "a.gif") as clip:
        assert clip.info["duration"] == milliseconds
        assert clip.info["loop"] == 0
        assert getattr(clip, "n_frames", 1) == shown


def test_large_pictures_become_smaller(tmp_path: Path) -> None:
    save_clip(_frames(3, 400, 640), 25.0, tmp_path / "a.gif")
    with Image.open(tmp_path / "a.gif") as clip:
        assert clip.size == (320, 200)
