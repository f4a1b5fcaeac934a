"""Signs of life: what a command is at, how far it has come, and how long it will take. On the error stream.

On a terminal that is a bar. Elsewhere, as in the logs of a cluster, it is a plain line now and then.
"""

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

from tqdm import tqdm

Wanted = bool | str  # true: bars; false: nothing; "auto": bars on a terminal, lines elsewhere

_SILENCE = 1.0  # seconds before a bar without a known end appears
_INTERVAL = 0.5  # seconds between two looks at what is shown by a bar
_FIRST_LINE = 2.0  # seconds before a line appears
_PAUSE, _GROWTH, _LONGEST_PAUSE = 5.0, 0.25, 60.0  # seconds between lines: a share of those that have passed


@dataclass
class Count:
    """How far a stage is.

    Args:
        done: pieces of its work that are done.
        total: pieces in all; None where nobody knows.
        facts: what else there is to see, by name.
    """

    done: float = 0
    total: float | None = None
    facts: dict[str, float] = field(default_factory=dict)

    @property
    def said(self) -> str:
        """The facts in words."""
        return ", ".join(f"{name}={value:.4g}" for name, value in self.facts.items())


def form_of(wanted: Wanted) -> Literal["bars", "lines", "nothing"]:
    """How progress is shown here. `TQDM_DISABLE=1` in the environment silences lines as it does bars."""
    if os.environ.get("TQDM_DISABLE"):
        return "nothing"
    if wanted == "auto":
        return "bars" if sys.stderr.isatty() else "lines"
    return "bars" if wanted else "nothing"


@contextmanager
def stage(
    wanted: Wanted,
    name: str,
    unit: str = "",
    total: float | None = None,
    done: float = 0,
    look: Callable[[Count], None] = lambda count: None,
) -> Iterator[Count]:
    """Show what the block is at, for as long as it runs.

    Args:
        wanted: whether and how.
        name: what the block does, such as "planning".
        unit: a piece of its work, such as "epoch"; empty where nothing is counted, only the time.
        total: pieces in all, and
        done: those that were done before, as the count begins; the block changes them.
        look: brings the count up to date, where the block does not; called before it is shown.
    """
    count, form = Count(done, total), form_of(wanted)
    if form == "nothing":
        yield count
        return
    shown: _Shown = (_Bar if form == "bars" else _Lines)(name, unit, count)
    over = threading.Event()

    def watch() -> None:
        pause = shown.begin()
        while not over.wait(pause):
            look(count)
            pause = shown.show()

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield count
    finally:
        over.set()
        watcher.join()
        look(count)
        shown.end()


@contextmanager
def above_bars() -> Iterator[None]:
    """Take bars away while the block prints, and draw them again below."""
    with tqdm.external_write_mode():
        yield
        sys.stdout.flush()


def say(line: str, error: bool = False) -> None:
    """Print a line, above bars where there are some.

    Args:
        error: whether it goes to the error stream.
    """
    with above_bars():
        print(line, file=sys.stderr if error else sys.stdout, flush=True)


class _Bar:
    """A bar where there is something to count, else the time. Only one whose end is known stays when it is reached."""

    def __init__(self, name: str, unit: str, count: Count) -> None:
        self._count, self._bar = count, None
        self._options: dict[str, Any] = {"desc": name, "unit": unit, "total": count.total, "initial": count.done}
        self._options["leave"] = count.total is not None

    def begin(self) -> float:
        if self._count.total is None:
            return _SILENCE
        self._open(0.0)
        return _INTERVAL

    def show(self) -> float:
        bar = self._open(_SILENCE)
        bar.n, bar.total = self._count.done, self._count.total
        bar.bar_format = None if bar.n or bar.total else "{desc}, {elapsed}"
        bar.set_postfix_str(self._count.said, refresh=False)
        bar.refresh()
        return _INTERVAL

    def end(self) -> None:
        if self._bar is not None:
            self.show()
            self._bar.close()

    def _open(self, ago: float) -> tqdm:
        if self._bar is None:
            self._bar = tqdm(file=sys.stderr, dynamic_ncols=True, **self._options)
            self._bar.start_t -= ago
        return self._bar


class _Lines:
    """Lines: how much is done, how fast that was, and how long the rest will take."""

    def __init__(self, name: str, unit: str, count: Count) -> None:
        self._name, self._unit, self._count = name, unit, count
        self._stream, self._begun, self._before, self._shown = sys.stderr, time.monotonic(), count.done, False

    def begin(self) -> float:
        return _FIRST_LINE

    def show(self) -> float:
        passed = time.monotonic() - self._begun
        self._print(*self._left(passed))
        return min(max(_PAUSE, _GROWTH * passed), _LONGEST_PAUSE)

    def end(self) -> None:
        if self._shown:
            self._print(f"{_duration(time.monotonic() - self._begun)} in all")

    def _left(self, passed: float) -> list[str]:
        gained, total = self._count.done - self._before, self._count.total
        if not self._unit or gained <= 0:
            return [f"{_duration(passed)} so far"]
        rate = gained / passed
        speed = f"{rate:.3g}/s" if rate >= 1 else f"{1 / rate:.3g} s each"
        left = [] if total is None else [f"{_duration((total - self._count.done) / rate)} left"]
        return [speed, *left]

    def _print(self, *parts: str) -> None:
        done, total, unit = self._count.done, self._count.total, self._unit
        many = [] if not unit else [f"{done:,.0f} {unit}s" if total is None else f"{done:,.0f} of {total:,.0f} {unit}s"]
        facts = [self._count.said] if self._count.facts else []
        print(f"{self._name}: {', '.join([*many, *parts, *facts])}", file=self._stream, flush=True)
        self._shown = True


_Shown = _Bar | _Lines


def _duration(seconds: float) -> str:
    """Minutes and seconds, and hours where there are some."""
    return tqdm.format_interval(seconds)


# Pieces of work that are done deep down, or in other processes -------------------------------------------------------


class _Ticks:
    """Pieces done since the start, in this process and in those that it started, and pieces that are expected."""

    def __init__(self) -> None:
        self.here = 0
        self.expected = 0
        self.shared: Any = None  # a number that processes share

    @property
    def done(self) -> int:
        return self.here + (0 if self.shared is None else self.shared.value)


_ticks = _Ticks()


def tick(pieces: int = 1) -> None:
    """Count pieces of work as done, for the stage that counts them."""
    if _ticks.shared is None:
        _ticks.here += pieces
    else:
        with _ticks.shared.get_lock():
            _ticks.shared.value += pieces


def expect(pieces: int) -> None:
    """Say how many pieces are to come. Of two that say so, the later one may mean a part of the former's."""
    _ticks.expected = max(_ticks.expected, _ticks.done + pieces)


def shared_ticks(context: Any) -> Any:
    """The number in which processes count together, for `count_in` in each of them.

    Args:
        context: of multiprocessing, that starts them.
    """
    if _ticks.shared is None:
        _ticks.shared = context.Value("q", 0)
    return _ticks.shared


def count_in(shared: Any) -> None:
    """Count in the number of the process that started this one from now on."""
    _ticks.shared = shared


@contextmanager
def ticking(wanted: Wanted, name: str, unit: str) -> Iterator[None]:
    """Show a stage whose pieces are counted by `tick`, wherever they are done."""
    before = _ticks.expected = _ticks.done

    def look(count: Count) -> None:
        count.done = _ticks.done - before
        count.total = max(_ticks.expected - before, count.done) or None

    with stage(wanted, name, unit, look=look):
        yield
