"""A progress bar for policies that are trained in other processes, read from their training curves."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tqdm import tqdm

from mavrl.waiting import is_watched

_SECONDS = 0.5  # between two looks


@contextmanager
def policy_progress(progress: bool | str, directories: list[Path], total: int) -> Iterator[None]:
    """One bar over the parts of all these trainings while the block runs.

    Args:
        progress: whether it is wanted, as in `is_watched`.
        directories: of the policies.
        total: parts of all trainings together.
    """
    if not is_watched(progress):
        yield
        return
    with tqdm(total=total, desc="acting", unit="part", dynamic_ncols=True) as bar:
        over = threading.Event()
        watcher = threading.Thread(target=_watch, args=(bar, directories, over), daemon=True)
        watcher.start()
        try:
            yield
        finally:
            over.set()
            watcher.join()


def _watch(bar: tqdm, directories: list[Path], over: threading.Event) -> None:
    while not over.wait(_SECONDS):
        _show(bar, directories)
    _show(bar, directories)


def _show(bar: tqdm, directories: list[Path]) -> None:
    rows = [_rows(directory / "curve.csv") for directory in directories]
    latest = [float(lines[-1].split(",")[1]) for lines in rows if len(lines) > 1]
    bar.n = sum(max(0, len(lines) - 1) for lines in rows)
    if latest:
        bar.set_postfix(true_return=f"{sum(latest) / len(latest):.4g}", refresh=False)
    bar.refresh()


def _rows(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError):
        return []
