"""Digests of code outside of the package."""

from collections.abc import Callable
from pathlib import Path

import pytest

from mavrl.configuration.sources import changed_code, source_digests

Write = Callable[[str, str], None]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Writes a file of a folder that modules are imported from."""
    monkeypatch.syspath_prepend(tmp_path)

    def to(name: str, text: str) -> None:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    return to


def test_a_module_is_read_and_not_imported(write: Write) -> None:
    write("maze.py", "raise RuntimeError('imported')\nREWARD = 1.0")
    before = source_digests(["maze"])
    assert list(before) == ["maze"]
    assert source_digests(["maze:Maze-v0"]) == before
    write("maze.py", "raise RuntimeError('imported')\nREWARD = -1.0")
    assert source_digests(["maze"]) != before


def test_a_module_counts_with_its_package(write: Write) -> None:
    write("mazes/__init__.py", "")
    write("mazes/one.py", "from mazes import dynamics")
    write("mazes/deep/dynamics.py", "STEP = 1")
    before = source_digests(["mazes.one"])
    assert list(before) == ["mazes"]
    write("mazes/deep/dynamics.py", "STEP = 2")
    assert source_digests(["mazes.one"]) != before


@pytest.mark.parametrize(
    "text",
    [
        "import dynamics",
        "def make():\n    from dynamics.moves import step",
        "import gymnasium\ngymnasium.register('Maze-v0', entry_point='dynamics.moves:Maze')",
    ],
)
def test_what_it_takes_from_beside_it_counts_too(write: Write, text: str) -> None:
    write("maze.py", text)
    write("dynamics/__init__.py", "")
    write("dynamics/moves.py", "STEP = 1")
    before = source_digests(["maze"])
    assert set(before) == {"maze", "dynamics"}
    write("dynamics/moves.py", "STEP = 2")
    assert changed_code(before, source_digests(["maze"])) == ["dynamics"]


def test_modules_that_take_from_one_another(write: Write) -> None:
    write("maze.py", "import moves")
    write("moves.py", "import maze")
    assert set(source_digests(["maze"])) == {"maze", "moves"}


def test_installed_packages_and_python_s_own_are_known_by_other_means(write: Write) -> None:
    write("maze.py", "import json\nimport numpy\nimport gymnasium\nimport mavrl.errors\nimport no_such_module")
    assert set(source_digests(["maze", "mavrl.families.grid.family:Grid", "gymnasium.envs"])) == {"maze"}


def test_a_module_that_is_not_there_or_cannot_be_parsed(write: Write) -> None:
    assert source_digests(["no_such_module"]) == {"no_such_module": "missing"}
    write("maze.py", "def (")
    assert source_digests(["maze"])["maze"] not in ("missing", "")


def test_code_that_was_not_recorded_has_not_changed() -> None:
    assert changed_code(None, {"maze": "a"}) == []
    assert changed_code({}, {"maze": "a"}) == ["maze"]
    assert changed_code({"maze": "a", "old": "b"}, {"maze": "a", "new": "b"}) == ["new", "old"]
