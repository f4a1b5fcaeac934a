"""The drawings are those of their script, and each noun has one."""

import re
import xml.etree.ElementTree as xml
from typing import Any

import pytest

from tests.fixtures.pages import DOCS

NOUNS = ("replicate", "member", "setting", "segment", "query", "teacher", "study", "cell")
_SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def drawings(script: Any) -> Any:
    return script("drawings")


def test_the_files_are_what_the_script_draws(drawings: Any) -> None:
    held = {path.name: path.read_text() for path in drawings.IMAGES.iterdir()}
    assert held == drawings.drawn(), "run: python docs/drawings.py --write"


def test_each_noun_of_the_glossary_has_its_drawing(drawings: Any) -> None:
    page = (DOCS / "glossary.md").read_text()
    assert {f"{noun}.svg" for noun in (*NOUNS, "idea", "idea_narrow")} == drawings.drawn().keys()
    for noun in NOUNS:
        assert re.search(rf"^### {noun.capitalize()}\n\n!\[\]\(images/drawings/{noun}\.svg", page, re.MULTILINE), noun


def test_drawings_are_titled_and_keep_what_they_show_inside(drawings: Any) -> None:
    for name, picture in drawings.drawn().items():
        root = xml.fromstring(picture)
        assert root.findtext(f"{_SVG}title"), name
        width, height = float(root.attrib["width"]), float(root.attrib["height"])
        for words in root.iter(f"{_SVG}text"):
            size = float(words.attrib["font-size"])
            length = 0.5 * size * len(words.text or "")  # of a line of Helvetica, at most
            before = {"start": 0.0, "middle": 0.5, "end": 1.0}[words.attrib["text-anchor"]]
            left = float(words.attrib["x"]) - before * length
            x, y = _moved(root, words)
            assert 0 <= left + x <= left + x + length <= width, (name, words.text)
            assert size >= 12, (name, words.text)
            assert size <= float(words.attrib["y"]) + y <= height - 4, (name, words.text)


def _moved(root: xml.Element, element: xml.Element) -> tuple[float, float]:
    """How far the group that an element is in is moved."""
    for group in root.iter(f"{_SVG}g"):
        if element in group.iter():
            x, y = group.attrib["transform"].removeprefix("translate(").removesuffix(")").split()
            return float(x), float(y)
    return 0.0, 0.0
