"""Videos of recorded episodes, videos/<number>.mp4: H.264 as browsers play it, of whatever size the frames have.

What is imageio-ffmpeg's own stands in this file alone; it is an extra, which only videos need.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from mavrl.errors import ConfigurationError
from mavrl.storage.files import naming

VIDEOS = "videos"
_QUALITY = ("-crf", "20", "-g", "25", "-movflags", "+faststart")  # a whole picture each 25, to jump to; begins at once


def video_path(folder: Path, number: int) -> Path:
    """Where the video of an episode is, if there is one."""
    return folder / VIDEOS / f"{number}.mp4"


def place_videos(folder: Path, numbers: Sequence[int], files: Sequence[Path]) -> None:
    """Move the videos of episodes, made elsewhere on the same disk, to where they belong."""
    with naming(folder / VIDEOS):
        (folder / VIDEOS).mkdir(exist_ok=True)
        for number, file in zip(numbers, files, strict=True):
            file.replace(video_path(folder, number))


def check_video_writer() -> None:
    """Refuse to film where nothing is there that writes videos.

    Raises:
        ConfigurationError: imageio-ffmpeg is not installed.
    """
    _writer()


@contextmanager
def filming(path: Path, fps: float) -> Iterator[Callable[[np.ndarray], None]]:
    """A video of the frames that the block adds; nothing is left of it where the block fails.

    Args:
        path: of the file, which ends in .mp4.
        fps: frames a second.

    Yields:
        A function that adds a frame: a picture of shape (height, width, 3) in whole numbers from 0 to 255, all of one
        size. Black rows and columns fill up an odd height or width, which H.264 does not have.

    Raises:
        StorageError: the file cannot be written.
    """
    writer = None

    def add(frame: np.ndarray) -> None:
        nonlocal writer
        height, width = frame.shape[:2]
        even = np.pad(frame, ((0, height % 2), (0, width % 2), (0, 0)))
        if writer is None:
            writer = _writer()(path, (even.shape[1], even.shape[0]), fps)
        with naming(path):
            writer.send(np.ascontiguousarray(even))

    try:
        yield add
        if writer is not None:
            with naming(path):
                writer.close()
    except BaseException:
        if writer is not None:
            writer.close()
        path.unlink(missing_ok=True)
        raise


def _writer() -> Callable[[Path, tuple[int, int], float], Any]:
    try:
        import imageio_ffmpeg
    except ImportError as error:
        allowed = 'needs imageio-ffmpeg, which is not installed; pip install "mavrl[data]", or task.video=false'
        raise ConfigurationError("task.video", True, allowed) from error

    write_frames: Any = imageio_ffmpeg.write_frames  # whose annotations are narrower than what it takes

    def begun(path: Path, size: tuple[int, int], fps: float) -> Any:
        writer = write_frames(
            str(path),
            size,
            fps=fps,
            codec="libx264",
            pix_fmt_out="yuv420p",
            quality=None,
            macro_block_size=2,
            ffmpeg_log_level="error",
            output_params=list(_QUALITY),
        )
        writer.send(None)
        return writer

    return begun
