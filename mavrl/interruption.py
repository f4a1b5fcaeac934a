"""Signals that ask this process to end: one exception for all of them, whose exit status says which it was."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from mavrl.errors import MavrlError

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_QUEUED_AGAIN = -1  # the status with which submitit leaves a job that the scheduler will start again


class Interruption(SystemExit):
    """The end of a process that a signal asked for; its exit status is 128 and the signal's number, as in a shell.

    It is no KeyboardInterrupt: libraries turn those, and SIGTERM, into ends of their own.
    """

    def __init__(self, number: int) -> None:
        super().__init__(128 + number)
        self.name = signal.Signals(number).name

    def __reduce__(self) -> tuple:
        return type(self), (int(signal.Signals[self.name]),)

    def __str__(self) -> str:
        return f"interrupted by {self.name}"


def is_interruption(error: BaseException) -> bool:
    """Whether a process ends because of a signal, and not because of what it does."""
    if isinstance(error, (Interruption, KeyboardInterrupt)):
        return True
    return isinstance(error, SystemExit) and error.code == _QUEUED_AGAIN


@contextmanager
def without_exits(what: str) -> Iterator[None]:
    """Let code that the block calls, such as an environment's, end no command before its result, with status 0 even.

    Args:
        what: the block does, such as "task=train".

    Raises:
        MavrlError: something called `sys.exit`.
    """
    try:
        yield
    except SystemExit as end:
        if is_interruption(end):
            raise
        why = f"{what} ended before its result: something that it ran called sys.exit({end.code!r})"
        raise MavrlError(why) from end


@contextmanager
def interruptible() -> Iterator[None]:
    """Raise an Interruption in the main thread when a signal asks this process to end while the block runs.

    A signal that is ignored remains so, and outside the main thread nothing changes.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in _SIGNALS}
    for number, handler in before.items():
        if handler != signal.SIG_IGN:
            signal.signal(number, _interrupt)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def signals_blocked(*numbers: int) -> Iterator[None]:
    """Keep signals from this process while the block runs, and for good from the processes that it starts."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise Interruption(number)
