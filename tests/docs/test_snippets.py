"""The snippets in docs/ that are marked with `<!-- test -->` run as they stand."""

from pathlib import Path

import pytest

from mavrl.configuration.composition import compose
from mavrl.configuration.settings import RunSettings
from mavrl.families.base import family_of
from mavrl.training.building import build_data, build_learner
from mavrl.training.fitting import store
from mavrl.workers import Workers
from tests.fixtures.pages import DOCS, blocks

PAGES = [page.name for page in sorted(DOCS.glob("*.md")) if blocks(page.name, "test")]


def program(page: str) -> str:
    """All marked snippets of a page as one program, on the lines that they have in the page."""
    lines = [""] * (DOCS / page).read_text().count("\n")
    for block in blocks(page, "test"):
        snippet = block.text.splitlines()
        lines[block.line : block.line + len(snippet)] = snippet
    return "\n".join(lines)


@pytest.fixture
def example_run(tmp_path: Path) -> None:
    """runs/example as `run.py env.size=4 replicates=2` leaves it, with an untrained reward model."""
    config = compose("env.size=4", "replicates=2", "modality=d", "paths.cache=null")
    settings = RunSettings.from_config(config)
    family = family_of(settings, Workers(1))
    data = build_data(settings, family)
    data.setup()
    store(settings, family, build_learner(settings, family, data), data, tmp_path / "runs" / "example")


def test_pages_with_snippets() -> None:
    assert PAGES == ["extending.md", "using.md"]


@pytest.mark.usefixtures("example_run")
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("page", PAGES)
def test_snippets_run(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    exec(compile(program(page), page, "exec"), {"__name__": "snippets"})
