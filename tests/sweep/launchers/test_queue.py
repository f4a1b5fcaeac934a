"""What the queue says about jobs, and when it is believed."""

import subprocess

import pytest

from mavrl.sweep.launchers.queue import Queue, parse_states, squeue


class Cluster:
    """A clock and a queue that tests set."""

    def __init__(self, *answers: str | None) -> None:
        self.now, self.answers, self.asked = 0.0, list(answers), 0

    def ask(self) -> str | None:
        self.asked += 1
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]

    def queue(self, *ids: str) -> Queue:
        return Queue(ids, self.ask, lambda: self.now)


def _states(cluster: Cluster, queue: Queue, job: str, *times: float) -> list[str | None]:
    found = []
    for cluster.now in times:
        found.append(queue.final_state(job))
    return found


def test_lines_are_parsed() -> None:
    assert parse_states("12_0|RUNNING\n 12_1|CANCELLED \nnoise\n") == {"12_0": "RUNNING", "12_1": "CANCELLED"}
    assert parse_states("") == {}


@pytest.mark.parametrize("state", ["PENDING", "RUNNING", "COMPLETING", "REQUEUED", "SUSPENDED", "REQUEUE_HOLD"])
def test_a_job_that_may_run_again_has_not_ended(state: str) -> None:
    cluster = Cluster(f"7_0|{state}")
    assert _states(cluster, cluster.queue("7_0"), "7_0", 0, 10, 100, 1000) == [None] * 4


@pytest.mark.parametrize("state", ["CANCELLED", "TIMEOUT", "NODE_FAIL", "OUT_OF_MEMORY", "FAILED", "COMPLETED"])
def test_a_job_that_has_ended_may_leave_a_result_for_a_while(state: str) -> None:
    cluster = Cluster(f"7|{state}")
    assert _states(cluster, cluster.queue("7"), "7", 0, 3, 17, 18, 30) == [None, None, None, state, state]


def test_a_job_that_the_queue_forgets_has_ended_in_the_state_that_was_seen_last() -> None:
    cluster = Cluster("7|TIMEOUT", "8|RUNNING")
    queue = cluster.queue("7", "9")
    assert _states(cluster, queue, "7", 3, 40) == [None, "TIMEOUT"]
    assert queue.final_state("9") == "unknown to squeue"


def test_a_job_that_is_queued_again_has_not_ended() -> None:
    cluster = Cluster("7|TIMEOUT", "7|PENDING")
    assert _states(cluster, cluster.queue("7"), "7", 3, 10, 50, 500) == [None] * 4


def test_no_answer_says_nothing() -> None:
    cluster = Cluster(None)
    assert _states(cluster, cluster.queue("7"), "7", 3, 40, 400) == [None] * 3


def test_the_queue_is_asked_seldom() -> None:
    cluster = Cluster("7|RUNNING")
    _states(cluster, cluster.queue("7"), "7", *range(1000))
    assert 40 < cluster.asked < 100


@pytest.mark.parametrize("error", [FileNotFoundError("squeue"), subprocess.TimeoutExpired("squeue", 60)])
def test_a_squeue_that_fails_is_no_answer(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(subprocess, "run", fail)
    assert squeue() is None
