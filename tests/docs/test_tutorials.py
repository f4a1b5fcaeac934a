"""The tutorials work as they stand: what they say is typed into a shell, in a fresh copy of the repository."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.fixtures.pages import Block, blocks
from tests.fixtures.slurm import without_slurm

pytestmark = [pytest.mark.slow, pytest.mark.integration]

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def reader(tmp_path: Path) -> Callable[..., list[str]]:
    """Somebody with a clone of the repository who types what stands there; gives what each command has printed."""
    for name in ("mavrl", "conf"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "run.py", tmp_path)
    # `python` is that of the environment, as where it is activated; PYTHONPATH would find another clone.
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    variables = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    variables |= {"PATH": path, "OMP_NUM_THREADS": "1"}

    def follow(steps: list[Block]) -> list[str]:
        printed = []
        for step in steps:
            if step.mark == "file":
                (tmp_path / step.name).parent.mkdir(parents=True, exist_ok=True)
                (tmp_path / step.name).write_text(step.text)
                continue
            done = subprocess.run(
                ["bash", "-c", step.text], cwd=tmp_path, env=variables, capture_output=True, text=True
            )
            assert done.returncode == 0, step.text + done.stdout + done.stderr
            printed.append(done.stdout)
        return printed

    return follow


def _mean(run: Path, metric: str) -> Any:
    return json.loads((run / "metrics.json").read_text())["mean"][metric]


def test_a_first_reward(reader: Any, tmp_path: Path) -> None:
    first, read, *_, listing = reader(blocks("tutorials/first-reward.md", "file", "command"))
    assert first.splitlines()[-1].endswith("runs/first")
    assert (tmp_path / "runs" / "first" / "figures" / "rewards.png").exists()
    assert read.startswith("goal: ")
    assert read.endswith("highest of all: True\n")
    returns = {run.name: _mean(run, "normalized_return") for run in (tmp_path / "runs").iterdir() if run.is_dir()}
    assert returns.keys() == {"first", "preferences", "neutral", "both"}
    assert min(returns["first"], returns["both"]) > 99
    assert returns["preferences"] > 80
    assert 40 < returns["neutral"] < 60
    assert listing.count("grid_trap") == 4


def test_an_environment_of_one_s_own_from_nothing_to_a_reward_model(reader: Any, tmp_path: Path) -> None:
    learned, true, _, seen = reader(blocks("tutorials/your-environment.md", "file", "command"))
    assert "feedback: 256 preference, 256 rating" in learned
    assert "thermostat pr, 1 replicate" in true
    runs = tmp_path / "runs"
    returns = {name: _mean(runs / name, "mean_return") for name in ("learned", "true", "constant")}
    assert returns["constant"] < 0 < returns["learned"] < returns["true"]
    assert _mean(runs / "learned", "spearman") > 0.8
    means = {int(line.split()[0]): float(line.split()[2]) for line in seen.splitlines()}
    assert means.keys() == {15, 17, 19, 21, 23, 25, 27}
    assert means[15] < means[17] < means[19]
    assert means[27] < means[25] < means[23]


def test_a_sweep_and_a_search(reader: Any, tmp_path: Path) -> None:
    sweep, status, table, search, study, confirmed, studies, dry = reader(
        blocks("tutorials/sweep-and-search.md", "command")
    )
    assert sweep.splitlines()[-1] == "finished: 6 runs"
    assert "6 of 6 completed" in status
    assert "grid_cliff" in table
    assert "6 trials; best epic_distance" in search
    assert "6 completed, 0 running, 0 failed" in study
    assert "on seeds 3 to 7" in confirmed
    assert "Confirmed: 1 of 1 cell" in studies
    assert "6 runs: 6 to do" in dry
    assert "#SBATCH --array=0-5" in (tmp_path / "runs" / ".submitit" / "dry_run.sh").read_text()


@pytest.mark.slurm
@pytest.mark.skipif(bool(without_slurm()), reason=without_slurm())
def test_the_same_on_a_cluster(reader: Any) -> None:
    sweep, search = reader(blocks("tutorials/sweep-and-search.md", "slurm"))
    assert sweep.splitlines()[-1] == "finished: 6 runs"
    assert "4 trials; best epic_distance" in search
