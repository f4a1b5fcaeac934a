"""The first page and the papers of the repository: what they show is true."""

import re
import tomllib
from typing import Any

import gymnasium
import numpy as np
import pytest
import yaml

import mavrl
from mavrl.folder.episodes import Episode
from tests.fixtures.pages import DOCS

ROOT = DOCS.parent
README = (ROOT / "README.md").read_text()
FIVE_LINES = re.findall(r"^```python\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)
SMALL = (
    "members=1", "model.hidden_sizes=[8]", "trainer.max_epochs=1", "data.folds=0", "policy.total_steps=512",
    "policy.n_envs=4", "policy.updates=4", "evaluation.episodes=2", "processes=1", "paths.cache=null",
)  # fmt: skip


def test_the_first_screen_has_what_it_promises() -> None:
    screen = README.split("## Where to go")[0]
    assert len(screen.splitlines()) < 40
    assert len(FIVE_LINES) == 1
    assert len([line for line in FIVE_LINES[0].splitlines() if line]) == 5
    assert len(re.findall(r"^make \w+", screen, re.MULTILINE)) == 2
    assert screen.count("](docs/images/") == 1
    assert FIVE_LINES[0] in (DOCS / "index.md").read_text()


def test_targets_of_make_that_pages_name_exist() -> None:
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    pages = [README, *(path.read_text() for path in (ROOT / "CONTRIBUTING.md", *DOCS.rglob("*.md")))]
    named = {name for page in pages for name in re.findall(r"(?:`|^)make ([\w-]+)", page, re.MULTILINE)}
    assert named - targets == set()


def test_extras_are_described() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    described = re.findall(r"^\| (`[^|]*) \|", (DOCS / "installation.md").read_text(), re.MULTILINE)
    assert {name.strip("` ") for row in described for name in row.split(",")} == extras.keys()


@pytest.mark.slow
def test_the_five_lines_run(tmp_path: Any, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    spaces = gymnasium.spaces.Box(-np.inf, np.inf, (4,), np.float32), gymnasium.spaces.Discrete(2)
    folder = mavrl.FeedbackFolder.create(tmp_path / "labels", *spaces, {"id": "CartPole-v1"}, 500, "made up")
    stream = np.random.default_rng(0)
    folder.add_episodes(
        Episode(stream.normal(size=(11, 4)).astype(np.float32), stream.integers(0, 2, 10), np.ones(10), True)
        for _ in range(4)
    )
    first, second = ({"episode": number, "start": 0, "stop": 8} for number in (0, 1))
    folder.add("preference", segments=[first, second], choice=0)
    monkeypatch.chdir(tmp_path)
    learn = mavrl.learn
    monkeypatch.setattr(mavrl, "learn", lambda *words, **keys: learn(*words, *SMALL, **keys), raising=False)
    exec(compile(FIVE_LINES[0], "README.md", "exec"), {})
    assert re.search(r"^\[\[.*\]\] ± \[\[.*\]\]$", capsys.readouterr().out.splitlines()[-1])


def test_the_citation_is_valid_and_of_this_version() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["version"] == mavrl.__version__
    assert citation["license"] == "MIT"
    assert citation["preferred-citation"]["url"] in README
    assert citation["preferred-citation"]["year"] == 2026
    convert = pytest.importorskip("cffconvert")
    convert.Citation((ROOT / "CITATION.cff").read_text()).validate()


@pytest.mark.parametrize("path", sorted((ROOT / ".github").rglob("*.yml")), ids=lambda path: path.name)
def test_forms_are_what_github_reads(path: Any) -> None:
    form = yaml.safe_load(path.read_text())
    if path.parent.name != "ISSUE_TEMPLATE" or path.name == "config.yml":
        return
    assert {"name", "description", "body"} <= form.keys()
    asked = [part for part in form["body"] if part["type"] != "markdown"]
    assert len({part["id"] for part in asked}) == len(asked)
    for part in form["body"]:
        assert part["type"] in {"markdown", "input", "textarea", "dropdown", "checkboxes"}
        assert ("value" if part["type"] == "markdown" else "label") in part["attributes"]
