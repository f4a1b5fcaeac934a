"""A scheduler's signal that a run must leave, postponed to a moment when it can be resumed from."""

import signal
import threading
import time
from types import FrameType
from typing import Any

_SIGNAL = signal.SIGUSR2  # what submitit asks SLURM for


class PostponedPreemption:
    """Keeps the signal from what handles it, until told to deliver it. Where nothing handles it, does nothing."""

    def __init__(self) -> None:
        self._original: Any = None
        self._since: float | None = None

    @property
    def waiting(self) -> float:
        """Seconds since the signal came; 0 if none has."""
        return 0.0 if self._since is None else max(time.monotonic() - self._since, 1e-9)

    def postpone(self) -> None:
        """From now on, note the signal instead of passing it on."""
        original = signal.getsignal(_SIGNAL)
        if callable(original) and threading.current_thread() is threading.main_thread():
            self._original = original
            signal.signal(_SIGNAL, self._note)

    def deliver(self) -> None:
        """Postpone no longer, and pass on the signal if it has come. What handles it may end the process."""
        came = self._since is not None
        self.dismiss()
        if came:
            signal.raise_signal(_SIGNAL)

    def dismiss(self) -> None:
        """Postpone no longer; a signal that has come is forgotten."""
        if self._original is not None:
            signal.signal(_SIGNAL, self._original)
        self._original = self._since = None

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self._since is None:
            self._since = time.monotonic()
