"""How far a folder of runs, or a sweep, has come."""

import datetime
from collections import Counter
from collections.abc import Iterable, Sequence

from mavrl.configuration.registry import KINDS
from mavrl.storage.index import Run

_RECENT = 20  # runs that the throughput is measured on
_PAUSE = 60.0  # seconds without a run; a longer time is no part of the work


def read_time(text: object) -> datetime.datetime | None:
    """Read a time of status.json; None when there is none or it cannot be read."""
    try:
        time = datetime.datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return time if time.tzinfo else None


def runs_per_hour(runs: Iterable[Run]) -> float | None:
    """Throughput in completed and failed runs per hour of work, over recent ones; None when no run has ended.

    Work is the time in which at least one of them ran. Short pauses between runs count, as what starting a run costs;
    the night between two sweeps does not.
    """
    spans = []
    for run in runs:
        started, ended = read_time(run.status.get("started")), read_time(run.status.get("ended"))
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


def count_states(states: Iterable[tuple[str, str, str]]) -> dict[tuple[str, str], Counter[str]]:
    """Count the runs of each environment and modality in each state.

    Args:
        states: environment, modality and state of each run, pending ones included.
    """
    counted: dict[tuple[str, str], Counter[str]] = {}
    for env, modality, state in states:
        counted.setdefault((env, modality), Counter())[state] += 1
    return dict(sorted(counted.items(), key=lambda item: (item[0][0], modality_order(item[0][1]))))


def modality_order(modality: str) -> tuple[int, Sequence[int]]:
    """The key that sorts modalities by their number of letters, then in the order in which kinds are registered."""
    letters = "".join(kind.letter for kind in KINDS.values())
    return len(modality), [letters.find(letter) for letter in modality]
