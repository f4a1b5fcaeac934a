"""Reports read plain data: nothing that computes is imported to print, and nothing that computes prints."""

import ast
from pathlib import Path

import pytest

import mavrl

ROOT = Path(mavrl.__file__).parent
READ = {"configuration", "errors", "metrics", "reports", "search", "secrets", "statistics", "storage"}


def imported_rooms(folder: str) -> dict[str, set[str]]:
    """The parts of this package that each file of a folder imports, by path."""
    rooms = {}
    for path in (ROOT / folder).rglob("*.py"):
        modules = [
            name
            for node in ast.walk(ast.parse(path.read_text()))
            for name in (
                [node.module or ""]
                if isinstance(node, ast.ImportFrom)
                else [alias.name for alias in node.names]
                if isinstance(node, ast.Import)
                else []
            )
        ]
        rooms[str(path)] = {module.split(".")[1] for module in modules if module.startswith("mavrl.")}
        rooms[str(path)] |= {module for module in modules if module.partition(".")[0] == "torch"}
    return rooms


def test_reports_import_plain_data_only() -> None:
    assert {path: rooms - READ for path, rooms in imported_rooms("reports").items() if rooms - READ} == {}


@pytest.mark.parametrize("folder", ["evaluation", "search"])
def test_nothing_that_computes_prints(folder: str) -> None:
    assert [path for path, rooms in imported_rooms(folder).items() if "reports" in rooms] == []
