"""The package as it is installed, in an environment of its own, and the command `mavrl` anywhere.

Usually that is a wheel, made here, whose dependencies are those of the environment that runs the tests. With
MAVRL_RELEASE=<folder>, as `make release-check` has it, each distribution in that folder is installed with all that it
needs.
"""

import os
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path
from typing import Any

import pytest

from mavrl.search.record import read_studies
from mavrl.search.storage import open_storage

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[2]
PIP = (sys.executable, "-m", "pip", "--disable-pip-version-check")
QUICK = ("replicates=1", "trainer.max_epochs=1")

OWN = """
defaults:
  - grid_cliff@_here_
  - _self_
name: my_grid
gamma: 0.9
"""


def _run(*command: str, directory: Path | None = None) -> str:
    done = subprocess.run(command, capture_output=True, text=True, cwd=directory)
    assert done.returncode == 0, done.stderr
    return done.stdout


def _release() -> list[Path]:
    if "MAVRL_RELEASE" not in os.environ:
        return []
    found = sorted(Path(os.environ["MAVRL_RELEASE"]).resolve().glob("mavrl-*"))
    assert {path.suffix for path in found} == {".whl", ".gz"}, found
    return found


RELEASE = _release()


@pytest.fixture(scope="module", params=RELEASE or [None], ids=lambda path: path.name if path else "wheel")
def distribution(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    if request.param is not None:
        return request.param
    directory = tmp_path_factory.mktemp("wheel")
    _run(*PIP, "wheel", "--quiet", "--no-deps", "--wheel-dir", str(directory), str(ROOT))
    (path,) = directory.iterdir()
    return path


@pytest.fixture(scope="module")
def environment(distribution: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment with the distribution, and what that depends on."""
    directory = tmp_path_factory.mktemp("environment")
    _run(sys.executable, "-m", "venv", "--without-pip", str(directory))
    install = (*PIP, "--python", str(directory / "bin/python"), "install", "--quiet")
    if RELEASE:
        constrained = ("-c", str(ROOT / "constraints.txt"))
        _run(*install, *constrained, "torch")
        _run(*install, *constrained, str(distribution))
        return directory
    _run(*install, "--no-deps", "--no-index", str(distribution))
    (packages,) = directory.glob("lib/*/site-packages")
    # A line is a folder to look in besides; an editable installation's own lines in it are not read.
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib"))
    return directory


@pytest.fixture
def mavrl(environment: Path, program_app: Any) -> Any:
    """Runs the command that was installed."""
    return program_app(environment / "bin/mavrl")


def test_a_wheel_holds_the_package_with_its_data_and_conf(distribution: Path) -> None:
    if distribution.suffix != ".whl":
        pytest.skip("what is made of the source is seen by what it installs")
    files = {path for folder in ("mavrl", "conf") for path in (ROOT / folder).rglob("*") if path.is_file()}
    wanted = {path.relative_to(ROOT).as_posix() for path in files if "__pycache__" not in path.parts}
    wanted = {f"mavrl/{name}" if name.startswith("conf/") else name for name in wanted}
    held = set(zipfile.ZipFile(distribution).namelist())
    assert {name for name in held if ".dist-info/" not in name} == wanted
    assert {"mavrl/py.typed", "mavrl/conf/config.yaml", "mavrl/conf/env/grid_trap.yaml"} <= held
    assert any(name.endswith("/licenses/LICENSE") for name in held)


def test_it_is_found_and_nothing_else(environment: Path, tmp_path: Path) -> None:
    code = "import mavrl, importlib.metadata as m; print(mavrl.__file__, mavrl.__version__, m.version('mavrl'))"
    place, *versions = _run(str(environment / "bin/python"), "-c", code, directory=tmp_path).split()
    assert Path(place).is_relative_to(environment)
    assert versions[0] == versions[1]


def test_help_does_not_wait_for_torch(environment: Path, tmp_path: Path) -> None:
    command = (str(environment / "bin/python"), "-X", "importtime", str(environment / "bin/mavrl"), "--help")
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path)
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "hydra" in imported
    assert not imported & {"torch", "lightning", "matplotlib", "scipy", "gymnasium", "optuna"}
    assert "grid_trap" in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_the_main_job(mavrl: Any) -> None:
    outcome = mavrl(tiny=not RELEASE)
    assert outcome.status == 0, outcome.err
    assert outcome.err == ""
    assert mavrl.directory in outcome.run.parents
    assert len(outcome.metrics["final"]["normalized_return"]) == (20 if RELEASE else 2)
    wrong = mavrl("env.sise=4")
    assert (wrong.status, wrong.err) == (2, "error: env.sise=4: no such key (did you mean env.size?)\n")


def test_a_sweep(mavrl: Any) -> None:
    outcome = mavrl("-m", "modality=p,d", *QUICK)
    assert outcome.status == 0, outcome.err
    assert outcome.out.splitlines()[-1] == "finished: 2 runs"
    assert len(list(mavrl.directory.glob("runs/grid_trap/*/*/metrics.json"))) == 2


def test_a_search_whose_workers_are_processes(mavrl: Any) -> None:
    search = ("hydra/sweeper=optuna", "study=mine", "modality=p", "search.n_trials=2", "search.workers=2")
    outcome = mavrl("-m", *search, *QUICK)
    assert outcome.status == 0, outcome.err
    (record,) = read_studies(open_storage(str(mavrl.directory / "studies/mine/grid_trap/p/journal.log")))
    assert [trial.state for trial in record.trials] == ["completed"] * 2


def test_an_environment_in_a_directory_of_one_s_own(mavrl: Any) -> None:
    place = mavrl.directory / "my_conf" / "env"
    place.mkdir(parents=True)
    (place / "my_grid.yaml").write_text(OWN)
    outcome = mavrl("--config-dir", "my_conf", "env=my_grid", "modality=d", *QUICK)
    assert outcome.status == 0, outcome.err
    assert outcome.run.parts[-3:-1] == ("my_grid", "d")
    missing = mavrl("--config-dir", "nowhere", "env=my_grid")
    assert missing.status == 2
    (line,) = missing.err.splitlines()
    assert str(mavrl.directory / "nowhere") in line
