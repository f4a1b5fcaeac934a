"""The snippets in docs/ that are marked with `<!-- test -->` run as they stand."""

import re
from pathlib import Path

import pytest

from mavrl.configuration.composition import compose
from mavrl.configuration.settings import RunSettings
from mavrl.families.base import family_of
from mavrl.training.building import build_data, build_learner
from mavrl.training.fitting import store
from mavrl.workers import Workers

ROOT = Path(__file__).resolve().parents[1]
_MARKED = re.compile(r"<!-- test -->\n```python\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def marked_snippets(page: Path) -> str:
    """All marked snippets of a page as one program, on the lines that they have in the page."""
    text = page.read_text()
    lines = [""] * text.count("\n")
    for match in _MARKED.finditer(text):
        first = text[: match.start(1)].count("\n")
        snippet = match[1].splitlines()
        lines[first : first + len(snippet)] = snippet
    return "\n".join(lines)


PAGES = [page for page in sorted((ROOT / "docs").glob("*.md")) if "<!-- test -->" in page.read_text()]


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
    assert [page.name for page in PAGES] == ["extending.md", "using.md"]


@pytest.mark.usefixtures("example_run")
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_snippets_run(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    exec(compile(marked_snippets(page), str(page), "exec"), {"__name__": page.stem})
