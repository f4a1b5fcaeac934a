"""Jobs in worker processes: what they return, what becomes of their workers, and what they find."""

import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cloudpickle
import pytest
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.utils import JobStatus
from hydra.experimental.callback import Callback
from hydra.types import HydraContext, RunMode
from omegaconf import DictConfig, OmegaConf

from mavrl.configuration.check import register_with_hydra
from mavrl.errors import ConfigurationError, JobError, StorageError
from mavrl.sweep.launchers.jobs import error_of
from mavrl.sweep.launchers.local import LocalLauncher
from mavrl.workers import cores

cloudpickle.register_pickle_by_value(sys.modules[__name__])  # a worker cannot import a test

CONFIG = """
defaults: [_self_, override hydra/job_logging: none, override hydra/hydra_logging: none]
number: 0
word: null
processes: null
threads: 1
hydra: {sweep: {dir: sweep, subdir: "${number}"}, output_subdir: null}
"""


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., LocalLauncher]]:
    """A launcher of a task, in a directory of its own."""
    monkeypatch.chdir(tmp_path)
    OmegaConf.clear_resolvers()  # those of mavrl carry shape checks in tests, which cannot be sent to another process
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf" / "config.yaml").write_text(CONFIG)
    launchers = []
    with initialize_config_dir(str(tmp_path / "conf")):
        hydra = GlobalHydra.instance().hydra
        assert hydra is not None
        config = hydra.compose_config("config", [], run_mode=RunMode.MULTIRUN)

        def launcher(task: Callable[[DictConfig], Any], workers: int | None = 2) -> LocalLauncher:
            made = LocalLauncher(workers)
            context = HydraContext(config_loader=hydra.config_loader, callbacks=Callback(), execution_whitelist=())
            made.setup(hydra_context=context, task_function=task, config=config)
            launchers.append(made)
            return made

        yield launcher
        for made in launchers:
            made.close()
    register_with_hydra()


def _jobs(*numbers: int, more: tuple[str, ...] = ()) -> list[list[str]]:
    return [[f"number={number}", *more] for number in numbers]


def _twice(config: DictConfig) -> int:
    print("number", config.number)
    return 2 * config.number


def test_results_come_in_order(make: Callable[..., LocalLauncher], capfd: pytest.CaptureFixture[str]) -> None:
    def task(config: DictConfig) -> int:
        time.sleep(0.3 if config.number == 0 else 0)  # the first ends last
        return _twice(config)

    results = make(task).launch(_jobs(0, 1, 2, 3), 10)
    assert [job.return_value for job in results] == [0, 2, 4, 6]
    assert [job.overrides for job in results] == [[f"number={k}"] for k in range(4)]
    assert [(job.hydra_cfg.hydra.job.num, job.hydra_cfg.hydra.job.id) for job in results] == [
        (k, str(k)) for k in range(10, 14)
    ]
    printed = capfd.readouterr()
    assert printed.err == ""
    assert [line.split()[0] for line in printed.out.splitlines()] == ["[1/4]", "[2/4]", "[3/4]", "[4/4]"]
    for k in range(4):
        assert Path(f"sweep/.logs/{10 + k}.log").read_text() == f"number {k}\n"


def test_jobs_run_at_the_same_time(make: Callable[..., LocalLauncher]) -> None:
    def task(config: DictConfig) -> bool:
        """Wait for the other one."""
        Path(f"begun{config.number}").touch()
        deadline = time.monotonic() + 60
        while not Path(f"begun{1 - config.number}").exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        return Path(f"begun{1 - config.number}").exists()

    assert [job.return_value for job in make(task).launch(_jobs(0, 1), 0)] == [True, True]


def test_workers_stay_for_the_next_launch(make: Callable[..., LocalLauncher]) -> None:
    launcher = make(lambda _: os.getpid())
    first = {job.return_value for job in launcher.launch(_jobs(*range(6)), 0)}
    second = {job.return_value for job in launcher.launch(_jobs(*range(6)), 6)}
    assert os.getpid() not in first
    assert second <= first
    assert len(first) <= 2


def test_a_second_launch_keeps_the_logs_of_the_first(make: Callable[..., LocalLauncher]) -> None:
    launcher = make(_twice)
    launcher.launch(_jobs(1), 0)
    launcher.launch(_jobs(2), 0)
    assert {path.name: path.read_text() for path in Path("sweep/.logs").iterdir()} == {
        "0.log": "number 1\n",
        "0-2.log": "number 2\n",
    }


def test_a_job_that_raises_fails_alone(make: Callable[..., LocalLauncher], capfd: pytest.CaptureFixture[str]) -> None:
    def task(config: DictConfig) -> int:
        if config.number == 1:
            raise ConfigurationError("number", 1, "must not be 1")
        if config.number == 2:
            sys.exit(7)
        return config.number

    results = make(task, 1).launch([*_jobs(0, 1, 2), ["no_such_key=1"], *_jobs(3)], 0)
    assert [job.status == JobStatus.COMPLETED for job in results] == [True, False, False, False, True]
    assert str(error_of(results[1])) == "number=1: must not be 1"
    assert isinstance(error_of(results[1]), ConfigurationError)
    assert str(error_of(results[2])) == "the job called sys.exit(7)"
    assert "no_such_key" in str(error_of(results[3]))
    out = capfd.readouterr().out.splitlines()
    assert out[1].startswith("[2/5] failed number=1: number=1: must not be 1 (")
    assert out[1].endswith("log sweep/.logs/1.log)")
    assert "Traceback" in Path("sweep/.logs/1.log").read_text()


@pytest.mark.parametrize(
    ("how", "told"),
    [
        (signal.SIGKILL, "was killed by SIGKILL"),
        (signal.SIGSEGV, "was killed by SIGSEGV"),
        (None, "ended with status 3"),
    ],
)
def test_a_worker_that_dies_fails_its_job_alone(
    how: signal.Signals | None, told: str, make: Callable[..., LocalLauncher]
) -> None:
    def task(config: DictConfig) -> int:
        if config.number == 1:
            os._exit(3) if how is None else os.kill(os.getpid(), how)
        return os.getpid()

    results = make(task, 1).launch(_jobs(0, 1, 2, 3), 0)
    error = error_of(results[1])
    assert isinstance(error, JobError)
    assert told in str(error)
    before, after, last = (results[k].return_value for k in (0, 2, 3))
    assert before != after == last


def test_a_worker_that_dies_between_jobs_is_replaced(make: Callable[..., LocalLauncher]) -> None:
    launcher = make(lambda _: os.getpid(), 1)
    (first,) = launcher.launch(_jobs(0), 0)
    (process,) = (p for p in multiprocessing.active_children() if p.pid == first.return_value)
    os.kill(first.return_value, signal.SIGKILL)
    process.join()
    time.sleep(0.5)  # until the pool has noticed
    (second,) = launcher.launch(_jobs(1), 1)
    assert second.status == JobStatus.COMPLETED
    assert second.return_value != first.return_value


def test_a_job_finds_nothing_of_the_one_before(make: Callable[..., LocalLauncher]) -> None:
    def task(config: DictConfig) -> tuple:
        from hydra.core.hydra_config import HydraConfig

        found = os.getcwd(), os.environ.get("LEFT"), HydraConfig.get().job.num, config.word
        os.chdir("/")
        os.environ["LEFT"] = "behind"
        return found

    results = make(task, 1).launch(_jobs(0, more=("word=a",)) + _jobs(1), 0)
    assert [job.return_value for job in results] == [(os.getcwd(), None, 0, "a"), (os.getcwd(), None, 1, None)]


def test_jobs_share_the_cores_unless_told_otherwise(make: Callable[..., LocalLauncher]) -> None:
    launcher = make(lambda config: (config.processes, config.threads), workers=cores())
    given, own = launcher.launch([["number=0"], ["number=1", "processes=5", "threads=null"]], 0)
    assert given.return_value == (1, 1)
    assert own.return_value == (5, 1)
    assert given.overrides == ["number=0"]
    (alone,) = make(lambda config: config.processes, workers=1).launch(_jobs(2), 0)
    assert alone.return_value == cores()


def test_as_many_workers_as_cores() -> None:
    assert LocalLauncher().workers == cores()
    assert LocalLauncher(3).workers == 3


@pytest.mark.parametrize("workers", [0, -1, 1025])
def test_a_number_of_workers_that_cannot_be(workers: int) -> None:
    with pytest.raises(ConfigurationError, match=r"hydra.launcher.workers=.*from 1 to 1024"):
        LocalLauncher(workers)


def test_logs_that_cannot_be_written_end_the_launch(make: Callable[..., LocalLauncher]) -> None:
    Path("sweep").touch()
    with pytest.raises(StorageError, match="sweep"):
        make(_twice).launch(_jobs(0), 0)
    assert multiprocessing.active_children() == []
