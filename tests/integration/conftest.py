"""run.py as a process, in a directory of its own."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
TINY = ("env.size=4", "env.max_steps=50", "replicates=2", "trainer.max_epochs=3", "trainer.passes_per_epoch=2")
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
    """Runs run.py in a directory."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def start(self, *arguments: str, python: tuple[str, ...] = (), tiny: bool = True, **env: str) -> subprocess.Popen:
        plain = {k: v for k, v in os.environ.items() if not k.startswith(_UNWANTED)}
        return subprocess.Popen(
            [sys.executable, *python, str(ROOT / "run.py"), *(TINY if tiny else ()), *arguments],
            cwd=self.directory,
            env={**plain, "OMP_NUM_THREADS": "1", "WANDB_MODE": "offline", **env},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    @staticmethod
    def finish(process: subprocess.Popen) -> Outcome:
        out, err = process.communicate(timeout=300)
        return Outcome(process.returncode, out, err)

    def __call__(self, *arguments: str, **options: Any) -> Outcome:
        return self.finish(self.start(*arguments, **options))


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> App:
    return App(tmp_path_factory.mktemp("work"))


@pytest.fixture
def fresh_app(tmp_path: Path) -> App:
    return App(tmp_path)


@pytest.fixture(scope="session")
def snapshot() -> Callable[[Path], dict[str, tuple[int, bytes]]]:
    """Every file below a directory, with its time of change and content."""

    def take(directory: Path) -> dict[str, tuple[int, bytes]]:
        files = [path for path in directory.rglob("*") if path.is_file()]
        return {str(p.relative_to(directory)): (p.stat().st_mtime_ns, p.read_bytes()) for p in files}

    return take
