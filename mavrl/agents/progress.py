"""How far policies are that are trained in other processes, read from their training curves."""

from collections.abc import Callable, Sequence
from pathlib import Path

from mavrl.progress import Count


def curves_read(directories: Sequence[Path]) -> Callable[[Count], None]:
    """A look at the parts of trainings that are done, and at the latest true return, a mean over policies.

    Args:
        directories: of the policies.
    """

    def look(count: Count) -> None:
        rows = [_rows(directory / "curve.csv") for directory in directories]
        count.done = sum(max(0, len(lines) - 1) for lines in rows)
        if latest := [float(lines[-1].split(",")[1]) for lines in rows if len(lines) > 1]:
            count.facts["true_return"] = sum(latest) / len(latest)

    return look


def _rows(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError):
        return []
