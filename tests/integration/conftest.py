"""run.py in a directory of its own: in this process, or as one where that is what a test is about."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch

from mavrl.policies.network import NetworkPolicy
from tests.fixtures.application import run_here

ROOT = Path(__file__).parents[2]
TINY = (
    "env.size=4", "env.max_steps=50", "replicates=2", "trainer.max_epochs=3", "trainer.passes_per_epoch=2",
    "figures=one",
)  # fmt: skip
TINY_CONTROL = (
    "env=cartpole_v1", "env.max_steps=60", "replicates=2", "members=2", "model.hidden_sizes=[8]",
    "trainer.max_epochs=2", "trainer.least_steps=2", "evaluation.episodes=8", "env.feedback.segment_len=8",
    "env.feedback.n_episodes=16", "feedback.preference.n_samples=6", "feedback.demonstration.n_samples=2",
    "feedback.rating.n_samples=6", "feedback.stop.n_samples=6", "figures=one",
)  # fmt: skip
TINY_PPO = (
    "policy.total_steps=512", "policy.n_envs=4", "policy.n_steps=32", "policy.batch_size=64", "policy.n_epochs=2",
    "policy.parts=2", "policy.evaluation_episodes=4", "policy.hidden_sizes=[8]", "policy.learning_rate=1e-2",
)  # fmt: skip
_UNWANTED = ("WANDB_", "HYDRA_FULL_ERROR", "COLUMNS")


@dataclass
class Outcome:
    """What a command left behind."""

    status: int
    out: str
    err: str

    @property
    def run(self) -> Path:
        """The run directory, which is the last line of the output."""
        return Path(self.out.splitlines()[-1])

    @property
    def metrics(self) -> dict[str, Any]:
        return json.loads((self.run / "metrics.json").read_text())


class App:
    """Runs run.py in a directory, with small settings unless told otherwise.

    Args:
        directory: in which it runs.
        settings: the small ones.
        program: that is run instead, always as a process.
    """

    def __init__(self, directory: Path, settings: tuple[str, ...] = TINY, program: Path | None = None) -> None:
        self.directory = directory
        self.settings = settings
        self.program = program

    def __call__(self, *arguments: str, process: bool = False, tiny: bool = True, **options: Any) -> Outcome:
        """Run the command, and wait for it.

        Args:
            process: in a process of its own, which takes seconds to import its libraries. What is sent to workers of
                hydra/launcher=local cannot be pickled where annotations are checked, so they need it.
            tiny: with the small settings.
            options: variables of the environment.
        """
        if process or self.program is not None:
            return self.finish(self.start(*arguments, tiny=tiny, **options))
        words = [str(ROOT / "run.py"), *(self.settings if tiny else ()), *arguments]
        return Outcome(*run_here(words, self.directory, _variables(options)))

    def start(self, *arguments: str, python: tuple[str, ...] = (), tiny: bool = True, **env: str) -> subprocess.Popen:
        """Start the command as a process."""
        program = [sys.executable, *python, str(ROOT / "run.py")] if self.program is None else [str(self.program)]
        return subprocess.Popen(
            [*program, *(self.settings if tiny else ()), *arguments],
            cwd=self.directory,
            env=_variables(env),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    @staticmethod
    def finish(process: subprocess.Popen) -> Outcome:
        out, err = process.communicate(timeout=300)
        return Outcome(process.returncode, out, err)

    def kill_when(self, arguments: tuple[str, ...], reached: Callable[[Path], bool]) -> Path:
        """Start the command and kill it as soon as `reached(run directory)` holds; returns that directory."""
        process = self.start(*arguments)
        deadline = time.monotonic() + 300
        while time.monotonic() < deadline:
            directory = self.run_directory()
            if directory is not None and reached(directory):
                break
            assert process.poll() is None, process.communicate()[1]
            time.sleep(0.002)
        else:
            process.kill()
            pytest.fail("never reached")
        process.send_signal(signal.SIGKILL)
        process.communicate()
        return directory

    def run_directory(self) -> Path | None:
        """That of the first run here, when it has begun."""
        return next(iter((self.directory / "runs").glob("*/*/*")), None)


def _variables(others: dict[str, str]) -> dict[str, str]:
    plain = {name: value for name, value in os.environ.items() if not name.startswith(_UNWANTED)}
    quiet = {"TQDM_DISABLE": "1"}  # what is slow today is none of the errors that tests read
    return {**plain, **quiet, "OMP_NUM_THREADS": "1", "WANDB_MODE": "offline", **others}


@pytest.fixture(scope="session")
def make_app() -> Callable[..., App]:
    """Runs the command in a directory, with these settings before the words."""
    return App


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> App:
    return App(tmp_path_factory.mktemp("work"))


@pytest.fixture
def fresh_app(tmp_path: Path) -> App:
    return App(tmp_path)


@pytest.fixture
def program_app(tmp_path: Path) -> Callable[[Path], App]:
    """Runs another program than run.py."""
    return lambda program: App(tmp_path, program=program)


@pytest.fixture(scope="session")
def experts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Experts of CartPole, made by hand: they push the cart under its falling pole."""
    directory = tmp_path_factory.mktemp("experts")
    lean = torch.tensor([0.0, 0.0, 1.0, 0.5])
    into, out = torch.stack([lean, -lean]), 3.0 * torch.tensor([[-1.0, 1.0], [1.0, -1.0]])
    card = {"algorithm": "by hand", "return_mean": 60.0, "steps": 0, "seed": 0}
    policy = NetworkPolicy.from_layers([(into, torch.zeros(2)), (out, torch.zeros(2))], "relu", "q", card)
    policy.save(directory / "cartpole_v1" / "dqn")
    return directory


@pytest.fixture(scope="session")
def make_control_app(experts: Path) -> Callable[..., App]:
    """Runs small CartPole jobs in one process."""

    def make(directory: Path, ppo: tuple[str, ...] = TINY_PPO) -> App:
        return App(directory, (*TINY_CONTROL, *ppo, f"paths.experts={experts}", "processes=1"))

    return make


@pytest.fixture(scope="module")
def control_app(make_control_app: Callable[..., App], tmp_path_factory: pytest.TempPathFactory) -> App:
    return make_control_app(tmp_path_factory.mktemp("control"))


@pytest.fixture
def fresh_control_app(make_control_app: Callable[..., App], tmp_path: Path) -> App:
    return make_control_app(tmp_path)


@pytest.fixture(scope="session")
def snapshot() -> Callable[[Path], dict[str, tuple[int, bytes]]]:
    """Every file below a directory, with its time of change and content."""

    def take(directory: Path) -> dict[str, tuple[int, bytes]]:
        files = [path for path in directory.rglob("*") if path.is_file()]
        return {str(p.relative_to(directory)): (p.stat().st_mtime_ns, p.read_bytes()) for p in files}

    return take
