"""How far a folder of runs, or a sweep, has come."""

import datetime
from collections import Counter
from collections.abc import Iterable, Sequence

from mavrl.storage.index import Run

_RECENT = 20  # runs that the throughput is measured on
_PAUSE = 60.0  # seconds without a run; a longer time is no part of the work


def instant(text: object) -> datetime.datetime | None:
    """A time of status.json; None when there is none or it cannot be read."""
    try:
        time = datetime.datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return time if time.tzinfo else None


def runs_per_hour(runs: Iterable[Run]) -> float | None:
    """Completed and failed runs per hour of work, over the most recent ones; None when no run has ended.

    Work is the time in which at least one of them ran. Short pauses between runs count, as what starting a run costs;
    the night between two sweeps does not.
    """
    spans = []
    for run in runs:
        started, ended = instant(run.status.get("started")), instant(run.status.get("ended"))
        if run.state in ("completed", "failed") and started is not None and ended is not None:
            spans.append((started.timestamp(), max(started, ended).timestamp()))
    recent = sorted(spans, key=lambda span: span[1])[-_RECENT:]
    worked, reached = 0.0, None
    for start, end in sorted(recent):
        if reached is not None:
            start = reached if start - reached <= _PAUSE else start
        worked += max(0.0, end - start)
        reached = end if reached is None else max(reached, end)
    return len(recent) / max(worked, 1.0) * 3600 if recent else None


def cells(states: Iterable[tuple[str, str, str]]) -> dict[tuple[str, str], Counter[str]]:
    """How many runs of each environment and modality are in each state.

    Args:
        states: environment, modality and state of each run, pending ones included.
    """
    counted: dict[tuple[str, str], Counter[str]] = {}
    for env, modality, state in states:
        counted.setdefault((env, modality), Counter())[state] += 1
    return dict(sorted(counted.items(), key=lambda item: (item[0][0], modality_order(item[0][1]))))


def modality_order(modality: str) -> tuple[int, Sequence[int]]:
    """Sorts modalities by their number of letters, then in the order p, d, r, s."""
    return len(modality), ["pdrs".find(letter) for letter in modality]
