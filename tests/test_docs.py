"""The snippets in docs/ that are marked with `<!-- test -->` run as they stand."""

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from hydra import compose, initialize_config_dir

from mavrl.model.reward_model import save_reward_model
from mavrl.tasks.building import build_feedback, build_learner, build_problem, description
from mavrl.tasks.configuration import register_resolvers

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
    register_resolvers()
    with initialize_config_dir(str(ROOT / "conf")):
        config: Any = compose("config", ["env.size=4", "replicates=2", "modality=d", "paths.cache=null"])
    problem = build_problem(config)
    feedback = build_feedback(config, problem)
    feedback.prepare()
    weights = build_learner(config, problem, feedback).inference.posterior.encoder.state_dict()
    directory = tmp_path / "runs" / "example" / "reward_model"
    save_reward_model(directory, weights, description(config, problem), {"mean": torch.zeros(16)})


def test_pages_with_snippets() -> None:
    assert [page.name for page in PAGES] == ["extending.md", "using.md"]


@pytest.mark.usefixtures("example_run")
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_snippets_run(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    exec(compile(marked_snippets(page), str(page), "exec"), {"__name__": page.stem})
