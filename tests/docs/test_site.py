"""The site builds without a warning, and no page of it loads anything from elsewhere."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fixtures.pages import DOCS

pytestmark = [pytest.mark.slow, pytest.mark.integration]

_LOADED = re.compile(r"<(?:script|img|iframe|source)\b[^>]*?\bsrc=\"?([^\s\">]+)|<link\b[^>]*?\bhref=\"?([^\s\">]+)")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("material")
    place = tmp_path_factory.mktemp("site")
    command = (sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(place))
    done = subprocess.run(command, cwd=DOCS.parent, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return place


def test_every_page_is_there(site: Path) -> None:
    pages = {page.relative_to(DOCS).with_suffix(".html") for page in DOCS.rglob("*.md")}
    assert {page for page in pages if not (site / page).exists()} == set()


def test_nothing_is_loaded_from_elsewhere(site: Path) -> None:
    found = {link for page in site.rglob("*.html") for pair in _LOADED.findall(page.read_text()) for link in pair}
    assert [link for link in found if re.match(r"(https?:)?//", link)] == []
    styles = "".join(path.read_text() for path in site.rglob("*.css"))
    assert re.findall(r"url\(\"?https?:[^)]*\)|@import[^;]*", styles) == []


def test_formulas_are_mathml(site: Path) -> None:
    page = (site / "mathematics.html").read_text()
    assert page.count("<math") > 250
    assert "arithmatex" not in page
    formulas = "".join(re.findall(r"<math.*?</math>", page, re.DOTALL))
    assert "\\" not in formulas


def test_public_functions_are_described(site: Path) -> None:
    page = (site / "api.html").read_text()
    for name in ("mavrl.learn", "mavrl.load_reward_model", "mavrl.FeedbackFolder.open", "mavrl.errors.StorageError"):
        assert f'id="{name}"' in page or f"id={name}" in page, name
