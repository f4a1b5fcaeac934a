"""A clip of an episode, as GIF: any page shows it, and nothing has to be installed for it."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from mavrl.storage.files import replacing

_WIDTH = 320  # pixels, at most
_MOST = 240  # pictures
_FASTEST = 25.0  # a second; browsers slow down faster ones
_COLOURS = 64


def save_clip(frames: Sequence[np.ndarray], fps: float, path: Path) -> None:
    """Write pictures as a GIF that runs at their speed and begins anew at its end; whole or not at all.

    Pictures are left out where they come faster than browsers show them, or are too many; these few run faster.

    Args:
        frames: of shape (height, width, 3) in whole numbers from 0 to 255, at least one.
        fps: of them a second.

    Raises:
        StorageError: it cannot be written.
    """
    step = max(1, round(fps / _FASTEST), -(-len(frames) // _MOST))
    height, width = frames[0].shape[:2]
    size = (min(width, _WIDTH), round(height * min(width, _WIDTH) / width))
    pictures = [Image.fromarray(frame).resize(size, Image.Resampling.LANCZOS) for frame in frames[::step]]
    first, *others = [each.quantize(_COLOURS, dither=Image.Dither.NONE) for each in pictures]
    duration = max(20, 10 * round(100 * max(1, round(fps / _FASTEST)) / fps))  # milliseconds, in tens as GIF has them
    with replacing(path) as temporary:
        first.save(temporary, "GIF", save_all=True, append_images=others, duration=duration, loop=0, optimize=True)
