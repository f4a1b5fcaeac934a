"""Signs of life: what a command is at, while it prints nothing else. On the error stream, and gone when it is over."""

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from tqdm import tqdm

_SILENCE = 1.0  # seconds before a sign appears
_INTERVAL = 0.5  # seconds between two looks at the clock


def is_watched(progress: bool | str) -> bool:
    """Whether progress is shown: always, never, or for "auto" when the error stream is a terminal."""
    return sys.stderr.isatty() if progress == "auto" else bool(progress)


@contextmanager
def waiting(progress: bool | str, what: str) -> Iterator[None]:
    """Say what takes so long, and for how long by now, while the block runs.

    Args:
        progress: whether it is wanted, as in `is_watched`.
        what: the block does, such as "planning".
    """
    if not is_watched(progress):
        yield
        return
    over = threading.Event()
    sign = threading.Thread(target=_show, args=(what, over), daemon=True)
    sign.start()
    try:
        yield
    finally:
        over.set()
        sign.join()


def _show(what: str, over: threading.Event) -> None:
    if over.wait(_SILENCE):
        return
    with tqdm(desc=what, bar_format="{desc}, {elapsed}", leave=False, dynamic_ncols=True) as line:
        line.start_t -= _SILENCE
        while not over.wait(_INTERVAL):
            line.refresh()
