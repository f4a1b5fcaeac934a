"""Worker processes: results in order, errors that arrive, and nothing that stays behind."""

import multiprocessing
import operator
import os
import pickle
import signal
import subprocess
import sys
import time
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import pytest
import torch

from mavrl.envs.control import ControlEnvironment
from mavrl.errors import ConfigurationError
from mavrl.interruption import Interruption, interruptible
from mavrl.workers import Workers, cores, workers
from tests.fixtures.processes import ended, wait_until_ended

# Functions of the standard library: a worker process cannot import those of a test.


class TestOneProcess:
    def test_is_this_one(self):
        pool = Workers(1)
        assert pool.submit(os.getpid).result() == os.getpid()
        assert pool.map(os.getpid, [(), ()]) == [os.getpid()] * 2

    def test_results_come_in_order(self):
        assert Workers(1).map(operator.sub, [(5, n) for n in range(6)]) == [5, 4, 3, 2, 1, 0]

    def test_nothing_to_do(self):
        assert Workers(1).map(operator.sub, []) == []

    def test_errors_arrive(self):
        with pytest.raises(ZeroDivisionError):
            Workers(1).map(operator.truediv, [(1, 1), (1, 0)])


class TestManyProcesses:
    @pytest.mark.slow
    def test_signals_to_all_processes_of_the_job_do_not_reach_them(self):
        before = signal.pthread_sigmask(signal.SIG_BLOCK, [])
        with workers(2) as pool:
            for number in (signal.SIGUSR2, signal.SIGINT, signal.SIGTERM):
                assert pool.map(signal.raise_signal, [(number,), (number,)]) == [None, None]
        assert signal.pthread_sigmask(signal.SIG_BLOCK, []) == before

    def test_a_single_call_runs_here(self):
        assert Workers(8).map(os.getpid, [()]) == [os.getpid()]

    def test_none_are_started_before_they_are_needed(self):
        with workers(8):
            assert multiprocessing.active_children() == []

    def test_as_many_as_cores_by_default(self):
        with workers(None) as pool:
            assert pool.count == len(os.sched_getaffinity(0))

    def test_a_given_number_is_kept(self):
        with workers(3) as pool:
            assert pool.count == 3

    def test_closing_what_was_never_started(self):
        Workers(4).close()

    @pytest.mark.slow
    def test_they_work_in_order_with_one_thread_each_and_end_with_the_block(self):
        with workers(2) as pool:
            assert pool.map(operator.sub, [(5, n) for n in range(6)]) == [5, 4, 3, 2, 1, 0]
            assert pool.map(torch.get_num_threads, [(), ()]) == [1, 1]
            assert pool.map(os.getenv, [("OMP_NUM_THREADS",)] * 2) == ["1", "1"]
            pids = pool.map(os.getpid, [()] * 4)
            assert os.getpid() not in pids
            assert not any(ended(pid) for pid in pids)
        assert all(ended(pid) for pid in pids)
        assert multiprocessing.active_children() == []

    @pytest.mark.slow
    def test_they_start_again_after_closing(self):
        pool = Workers(2)
        for _ in range(2):
            assert pool.map(operator.neg, [(1,), (2,)]) == [-1, -2]
            pool.close()

    @pytest.mark.slow
    def test_an_error_arrives_as_what_it_was_and_the_others_go_on(self):
        with workers(2) as pool:
            refused = pool.submit(ControlEnvironment("CartPole-v7").check)
            with pytest.raises(ConfigurationError, match=r"env\.id=CartPole-v7: not registered") as caught:
                refused.result()
            assert (caught.value.key, caught.value.value) == ("env.id", "CartPole-v7")
            assert pool.map(operator.neg, [(1,), (2,)]) == [-1, -2]

    @pytest.mark.slow
    def test_a_worker_that_dies_ends_the_call_with_an_error(self):
        with workers(2) as pool:
            calls = [(n,) for n in (0.0, 0.0)]
            assert pool.map(time.sleep, calls) == [None, None]
            with pytest.raises(BrokenProcessPool):
                pool.map(os._exit, [(3,), (3,)])
        assert multiprocessing.active_children() == []

    @pytest.mark.slow
    def test_an_error_in_the_block_ends_them(self):
        pids = []

        def fail() -> None:
            with workers(2) as pool:
                pids.extend(pool.map(os.getpid, [(), ()]))
                raise KeyError("in the block")

        with pytest.raises(KeyError):
            fail()
        assert pids
        assert all(ended(pid) for pid in pids)

    @pytest.mark.slow
    def test_a_signal_to_the_run_ends_them_in_the_middle_of_what_they_do(self):
        begun = time.monotonic()
        with pytest.raises(Interruption), interruptible(), workers(2) as pool:  # noqa: PT012
            pids = pool.map(os.getpid, [(), ()])
            for _ in pids:
                pool.submit(time.sleep, 600)
            signal.raise_signal(signal.SIGTERM)
        assert time.monotonic() - begun < 60
        assert all(ended(pid) for pid in pids)

    @pytest.mark.slow
    def test_calls_that_have_not_begun_are_dropped(self):
        pool = Workers(2)
        waiting = [pool.submit(time.sleep, 0.3) for _ in range(40)]
        pool.close()
        assert sum(future.cancelled() for future in waiting) > 20


_MASK = """
import signal
from mavrl.workers import workers
if __name__ == "__main__":
    with workers(2) as pool:
        for blocked in pool.map(signal.pthread_sigmask, [(signal.SIG_BLOCK, ())] * 2):
            print(*sorted(int(number) for number in blocked))
"""


@pytest.mark.slow
def test_signals_are_blocked_in_the_first_worker_of_a_process_too(tmp_path: Path) -> None:
    """What starts with the first worker, Python's resource tracker, must not let signals in again before it."""
    script = tmp_path / "run.py"
    script.write_text(_MASK)
    root = str(Path(__file__).resolve().parents[1])
    environment = {**os.environ, "PYTHONPATH": root}
    run = subprocess.run([sys.executable, str(script)], stdout=subprocess.PIPE, text=True, env=environment, check=True)
    expected = {signal.SIGINT, signal.SIGTERM, signal.SIGUSR2}
    masks = [{int(number) for number in line.split()} for line in run.stdout.splitlines()]
    assert len(masks) == 2
    assert all(expected <= mask for mask in masks)


_RUN = """
import os, time
from mavrl.workers import Workers
if __name__ == "__main__":
    pool = Workers(2)
    print(*pool.map(os.getpid, [(), ()]), flush=True)
    pool.submit(time.sleep, 600)
    time.sleep(600)
"""


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_workers_do_not_outlive_a_run_that_is_killed(how: signal.Signals, tmp_path: Path) -> None:
    script = tmp_path / "run.py"
    script.write_text(_RUN)
    root = str(Path(__file__).resolve().parents[1])
    run = subprocess.Popen(
        [sys.executable, str(script)], stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": root}
    )
    try:
        assert run.stdout is not None
        pids = [int(pid) for pid in run.stdout.readline().split()]
        assert pids
        assert not any(ended(pid) for pid in pids)
        run.send_signal(how)
        run.communicate()
        assert wait_until_ended(*pids)
    finally:
        run.kill()


def test_an_error_of_the_configuration_can_be_sent_between_processes() -> None:
    error = ConfigurationError("env.id", "CartPole-v7", "not registered")
    twin = pickle.loads(pickle.dumps(error))
    assert type(twin) is ConfigurationError
    assert (str(twin), twin.key, twin.value, twin.allowed) == (str(error), error.key, error.value, error.allowed)


@pytest.mark.parametrize(
    ("granted", "expected"),
    [({}, 64), ({"SLURM_CPUS_ON_NODE": "8"}, 8), ({"SLURM_CPUS_PER_TASK": "2", "SLURM_CPUS_ON_NODE": "8"}, 2)],
)
def test_a_scheduler_may_grant_fewer_cores_than_there_are(
    granted: dict[str, str], expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("SLURM_CPUS_PER_TASK", "SLURM_CPUS_ON_NODE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in granted.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(64)), raising=False)
    assert cores() == expected
