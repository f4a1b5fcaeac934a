"""Jobs that share a process: each begins as in a fresh one, and has its own log."""

import logging
import os
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from mavrl.errors import StorageError
from mavrl.sweep.launchers.isolation import fresh_log, isolated, output_to

ROOT = Path(__file__).parents[3]


@pytest.fixture(autouse=True)
def _one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


def test_a_block_leaves_no_state_behind(tmp_path: Path) -> None:
    directory, variables, root = os.getcwd(), dict(os.environ), logging.getLogger()
    handlers, level = list(root.handlers), root.level
    with isolated():
        os.chdir(tmp_path)
        os.environ["LEFT"], os.environ["OMP_NUM_THREADS"] = "behind", "7"
        del os.environ["PATH"]
        root.addHandler(logging.NullHandler())
        root.setLevel(1)
        torch.set_default_dtype(torch.float64)
        torch.set_num_threads(2)
    assert os.getcwd() == directory
    assert dict(os.environ) == variables
    assert (root.handlers, root.level) == (handlers, level)
    assert torch.get_default_dtype() == torch.float32
    assert torch.get_num_threads() == 1


def _draws_after(seed: int) -> list[float]:
    with isolated():
        random.seed(seed)
        np.random.seed(seed)  # noqa: NPY002
        torch.manual_seed(seed)
    return [random.random(), float(np.random.rand()), float(torch.rand(()))]  # noqa: NPY002


def test_seeds_do_not_reach_the_next_job() -> None:
    first, second = _draws_after(5), _draws_after(5)
    assert all(one != other for one, other in zip(first, second, strict=True))


def test_an_error_passes_and_state_is_restored() -> None:
    with pytest.raises(ValueError, match="x"), isolated():  # noqa: PT012
        os.environ["LEFT"] = "behind"
        raise ValueError("x")
    assert "LEFT" not in os.environ


def test_output_of_the_process_and_of_its_children_goes_to_the_log(tmp_path: Path) -> None:
    log = tmp_path / "0.log"
    log.write_text("before\n")
    code = (
        "import sys, os, subprocess; from pathlib import Path\n"
        "from mavrl.sweep.launchers.isolation import output_to\n"
        "print('outside')\n"
        f"with output_to(Path({str(log)!r})):\n"
        "    print('inside'); print('error', file=sys.stderr); sys.stdout.flush()\n"
        "    subprocess.run(['echo', 'child'])\n"
        "print('after')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout == "outside\nafter\n"
    assert done.stderr == ""
    assert sorted(log.read_text().splitlines()) == ["before", "child", "error", "inside"]


def test_a_log_is_never_another_ones(tmp_path: Path) -> None:
    directory = tmp_path / "new"
    paths = [fresh_log(directory, 3) for _ in range(3)] + [fresh_log(directory, 4)]
    assert [path.name for path in paths] == ["3.log", "3-2.log", "3-3.log", "4.log"]
    assert all(path.exists() for path in paths)


def test_a_log_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file"):
        fresh_log(tmp_path / "file", 0)


def test_a_log_that_is_a_symbolic_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "0.log").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StorageError, match="is a symbolic link"), output_to(tmp_path / "0.log"):
        pass
    assert fresh_log(tmp_path, 0).name == "0-2.log"
    assert not (tmp_path / "elsewhere").exists()


def test_a_stream_is_restored_after_an_error(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ValueError, match="x"), output_to(tmp_path / "0.log"):
        raise ValueError("x")
    os.write(1, b"here\n")
    assert capfd.readouterr().out == "here\n"
