"""The states of jobs in SLURM's queue."""

import getpass
import subprocess
import time
from collections.abc import Callable, Sequence

# A job in one of these, or one that the queue has forgotten, will not run again.
_ENDED = {
    "BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "NODE_FAIL", "OUT_OF_MEMORY", "PREEMPTED", "REVOKED",
    "TIMEOUT",
}  # fmt: skip
_FORGOTTEN = "unknown to squeue"


class Queue:
    """The states of jobs, for which SLURM is asked seldom: every two seconds at first, every half a minute later on.

    Args:
        job_ids: numbers of the jobs as submitit writes them, `123` or `123_4`.
        ask: returns what squeue prints, None when it does not answer.
        clock: returns the time in seconds.
        patience: seconds after its end in which a job may still leave a result: file systems are slow.
    """

    def __init__(
        self,
        job_ids: Sequence[str],
        ask: Callable[[], str | None] | None = None,
        clock: Callable[[], float] = time.monotonic,
        patience: float = 15,
    ) -> None:
        self._ids, self._ask, self._clock, self._patience = list(job_ids), ask or squeue, clock, patience
        self._begun = self._asked = clock()
        self._ended: dict[str, tuple[str, float]] = {}

    def final_state(self, job_id: str) -> str | None:
        """The state in which a job ended some time ago; None for a job that may still leave a result."""
        self._refresh()
        state, since = self._ended.get(job_id, ("", self._clock()))
        return state if state and self._clock() - since >= self._patience else None

    def _refresh(self) -> None:
        now = self._clock()
        if now - self._asked < min(30.0, max(2.0, (now - self._begun) / 10)):
            return
        self._asked = now
        answer = self._ask()
        if answer is None:  # a controller that does not answer says nothing about the jobs
            return
        states = parse_states(answer)
        for job_id in self._ids:
            state = states.get(job_id)
            if state is not None and state not in _ENDED:
                self._ended.pop(job_id, None)
            elif job_id in self._ended:
                before, since = self._ended[job_id]
                self._ended[job_id] = (state or before, since)
            else:
                self._ended[job_id] = (state or _FORGOTTEN, now)


def parse_states(text: str) -> dict[str, str]:
    """Read the state of each job in lines such as `123_4|RUNNING`."""
    return dict(line.strip().split("|", 1) for line in text.splitlines() if "|" in line)


def squeue() -> str | None:
    """The user's jobs as squeue prints them, those that ended lately too; None when SLURM does not answer."""
    command = ["squeue", "--noheader", "--array", "--states=all", f"--user={getpass.getuser()}", "--format=%i|%T"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
    except (OSError, subprocess.SubprocessError):
        return None
