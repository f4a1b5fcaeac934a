"""Signals that ask a process to end become one exception, whose status says which it was."""

import pickle
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from mavrl.interruption import Interruption, interruptible, is_interruption, signals_blocked

ROOT = Path(__file__).parents[1]
SIGNALS = [(signal.SIGINT, 130), (signal.SIGTERM, 143)]


@pytest.mark.parametrize(("number", "status"), SIGNALS)
def test_a_signal_ends_the_block_with_the_status_of_a_shell(number: signal.Signals, status: int) -> None:
    before = signal.getsignal(number)
    with pytest.raises(Interruption) as caught, interruptible():
        signal.raise_signal(number)
    assert caught.value.code == status
    assert str(caught.value) == f"interrupted by {number.name}"
    assert not isinstance(caught.value, (Exception, KeyboardInterrupt))
    assert signal.getsignal(number) == before


@pytest.mark.parametrize(("number", "status"), SIGNALS)
def test_it_is_the_status_of_the_process(number: signal.Signals, status: int) -> None:
    code = f"import signal; from mavrl.interruption import *\nwith interruptible(): signal.raise_signal({int(number)})"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (status, b"")


def test_a_signal_that_is_ignored_stays_so() -> None:
    """As in a shell's background job, which Ctrl-C does not concern."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with interruptible():
            signal.raise_signal(signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, before)


def test_outside_the_main_thread_nothing_changes() -> None:
    seen: list[Any] = []

    def look() -> None:
        with interruptible():
            seen.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    assert seen == [signal.getsignal(signal.SIGTERM)]


def test_it_can_be_sent_between_processes() -> None:
    twin = pickle.loads(pickle.dumps(Interruption(signal.SIGTERM)))
    assert (twin.code, twin.name) == (143, "SIGTERM")


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (Interruption(signal.SIGINT), True),
        (KeyboardInterrupt(), True),
        (SystemExit(-1), True),  # submitit, once it has put a job back into the queue
        (SystemExit(0), False),
        (SystemExit(None), False),
        (SystemExit(1), False),
        (SystemExit("text"), False),
        (ValueError(), False),
    ],
)
def test_an_exit_that_nothing_asked_for_is_none(error: BaseException, expected: bool) -> None:
    assert is_interruption(error) == expected


def test_blocked_signals_come_afterwards() -> None:
    reached = []
    with pytest.raises(Interruption), interruptible(), signals_blocked(signal.SIGINT):  # noqa: PT012
        signal.raise_signal(signal.SIGINT)
        reached.append("the end")
    assert reached == ["the end"]
