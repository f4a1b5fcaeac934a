"""What the pages point to is there: pages, headings, pictures, and files of the repository that they name."""

import re
from pathlib import Path
from urllib.parse import urlsplit

import pytest

import mavrl
from tests.fixtures.pages import DOCS

ROOT = DOCS.parent
FRONT = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")]
PAGES = [*FRONT, *sorted(DOCS.rglob("*.md"))]
_FENCE = re.compile(r"^```.*?^```$", re.DOTALL | re.MULTILINE)
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)[^)]*\)")
_HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)
TO_BE_WRITTEN = {"conf/env/mountain_car_v0.yaml", "conf/env/grid_corridor.yaml"}  # by the reader
_FILE = re.compile(r"`((?:mavrl|conf|tests|benchmarks|docs)/[\w./]*\w\.\w+)`")


def _name(page: Path) -> str:
    return str(page.relative_to(ROOT))


def _prose(page: Path) -> str:
    return _FENCE.sub("", page.read_text())


def anchors(page: Path) -> set[str]:
    """Of the headings, as the site and GitHub make them."""
    words = (re.sub(r"[`*\\]|\[([^\]]*)\]\([^)]*\)", r"\1", heading) for heading in _HEADING.findall(_prose(page)))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in words}


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_links_lead_somewhere(page: Path) -> None:
    for link in _LINK.findall(_prose(page)):
        parts = urlsplit(link)
        if parts.scheme:
            assert parts.scheme == "https", link
            assert "." in parts.netloc, link
            continue
        target = (page.parent / parts.path).resolve() if parts.path else page
        assert target.exists(), link
        assert target.is_relative_to(ROOT), link
        assert page in FRONT or target.is_relative_to(DOCS), f"{link}: the site has only what is in docs/"
        assert not parts.fragment or parts.fragment in anchors(target), link


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_files_that_are_named_exist(page: Path) -> None:
    if page.name == "CHANGELOG.md":  # tells of the past
        return
    named = set(_FILE.findall(_prose(page))) - TO_BE_WRITTEN
    assert [name for name in sorted(named) if not (ROOT / name).exists()] == []


def test_decisions_are_listed_and_of_one_form() -> None:
    folder = DOCS / "decisions"
    records = sorted(folder.glob("0*.md"))
    listed = re.findall(r"^- \[(\d+\. .*)\]\((.*)\)$", (folder / "index.md").read_text(), re.MULTILINE)
    assert [name for _, name in listed] == [record.name for record in records]
    for number, (record, (title, _)) in enumerate(zip(records, listed, strict=True), 1):
        text = record.read_text()
        assert record.name.startswith(f"{number:04d}-")
        assert text.startswith(f"# {title}\n")
        assert re.findall(r"^## (\w+)$", text, re.MULTILINE) == ["Context", "Decision", "Consequence"]
        assert len(text.split()) < 250, "one screen"


def test_public_names_have_their_place() -> None:
    page = (DOCS / "api.md").read_text()
    assert [name for name in mavrl.__all__ if f"::: mavrl.{name}\n" not in page and name != "__version__"] == []
