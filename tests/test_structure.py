"""Imports point one way, rooms are of a like size, and the page's picture is that of the code."""

import importlib.util
from pathlib import Path
from typing import Any

import pytest

DOCS = Path(__file__).resolve().parents[1] / "docs"
ORDER = [  # from the ground up; a room imports those before it
    "secrets", "errors", "interruption", "types", "actions", "quadratic", "streams", "statistics", "terminal",
    "garbage", "progress", "workers", "planning", "metrics", "configuration", "storage", "folder", "importers", "envs",
    "policies", "simulation", "feedback", "testing", "search", "reports", "model", "agents", "evaluation", "families",
    "training", "tasks", "learning", "sweep", "cli", "__main__",
]  # fmt: skip
LARGEST = 0.18  # of all lines


@pytest.fixture(scope="module")
def structure() -> Any:
    spec = importlib.util.spec_from_file_location("structure", DOCS / "structure.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_no_arrow_points_back_up(structure: Any) -> None:
    graph = structure.room_graph()
    assert set(graph) == set(ORDER)
    back = {
        (room, target)
        for room, targets in graph.items()
        for target in targets
        if ORDER.index(target) > ORDER.index(room)
    }
    assert back == set()


def test_no_modules_import_each_other_in_a_circle(structure: Any) -> None:
    assert structure.circle(structure.module_graph()) == []


def test_a_circle_is_found(structure: Any) -> None:
    assert structure.circle({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b", "c", "b"]
    assert structure.circle({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == []


def test_rooms_are_of_a_like_size(structure: Any) -> None:
    sizes = structure.sizes()
    assert max(sizes.values()) / sum(sizes.values()) < LARGEST


def test_every_room_says_what_it_is_for(structure: Any) -> None:
    assert [room for room in ORDER if not structure.summary(room)] == []


def test_the_page_has_the_present_picture(structure: Any) -> None:
    page = structure.PAGE.read_text()
    assert structure.BEGIN in page
    assert structure.drawn(page) == page, "run: python docs/structure.py --write"
