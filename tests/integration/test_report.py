"""task=report on real runs: where pages stand, what is refused, and that nothing else is written."""

from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def swept(app: Any) -> Any:
    outcome = app("-m", "modality=p,r")
    assert outcome.status == 0, outcome.err
    return app


def _page(app: Any, *words: str) -> tuple[Path, str]:
    outcome = app("task=report", *words, tiny=False)
    assert outcome.status == 0, outcome.err
    path = app.directory / outcome.out.splitlines()[-1]
    return path, path.read_text()


def test_a_run_its_sweep_and_a_choice_of_runs(swept: Any, snapshot: Any) -> None:
    runs = swept.directory / "runs"
    (run,) = runs.glob("grid_trap/p/*")
    (sweep,) = (path.stem for path in runs.glob(".sweeps/*.json"))
    before = snapshot(swept.directory)
    path, html = _page(swept, f"run_dir={run}")
    assert path == run / "report.html"
    assert "once for each of 2 seeds" in html
    assert html.count("data:image/png;base64,") == 1
    path, html = _page(swept, f"task.sweep={sweep}")
    assert path == runs / f"report-{sweep}.html"
    assert "2 runs: 2 completed." in html
    assert "./grid_trap/p/" in html
    assert "modality=p,r" in html
    assert _page(swept)[0] == runs / "report-all.html"
    path, html = _page(swept, "modality=r", "task.output=chosen.html")
    assert path == swept.directory / "chosen.html"
    assert "1 run: 1 completed." in html
    after = snapshot(swept.directory)
    assert {name: after[name] for name in before} == before
    assert sorted(after.keys() - before.keys()) == sorted(
        [
            "chosen.html",
            f"runs/report-{sweep}.html",
            "runs/report-all.html",
            str((run / "report.html").relative_to(swept.directory)),
        ]
    )


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("run_dir=nowhere", ("run_dir=nowhere", "must be the directory of a run")),
        ("task.sweep=s0", ("task.sweep=s0", "no such sweep")),
        ("study=none", ("study=none", "there is no such study")),
        ("study=none run_dir=nowhere", ("run_dir=nowhere", "something else than study")),
        ("modality=d", ("paths.runs=runs", "no run that matches modality=d")),
        ("paths.runs=nowhere", ("paths.runs=nowhere", "no such folder")),
        ("task.output=page.txt", ("task.output=page.txt", ".html")),
    ],
)
def test_what_cannot_be_reported_is_one_line(words: str, told: tuple[str, ...], swept: Any) -> None:
    outcome = swept("task=report", *words.split(), tiny=False)
    assert outcome.status == 2
    assert outcome.err.count("\n") == 1
    assert all(text in outcome.err for text in told)
