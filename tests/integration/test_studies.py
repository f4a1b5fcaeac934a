"""task=study and task=table on a real study: what they say, and that they leave no trace."""

import csv
import shlex
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from mavrl.storage.files import read_json, write_json

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def study(app: Any) -> Any:
    """Runs whatever task beside a study of two cells with three trials each."""
    cells = ("env=grid_trap", "modality=p,pr", "study=tiny")
    outcome = app("-m", "hydra/sweeper=optuna", *cells, "search.budget=8", "search.n_trials=3")
    assert outcome.status == 0, outcome.err
    return app


def _ask(app: Any, *arguments: str, **env: str) -> str:
    outcome = app(*arguments, tiny=False, **env)
    assert outcome.status == 0, outcome.err
    assert outcome.err == ""
    assert "\x1b" not in outcome.out
    return outcome.out


def _everything(directory: Path) -> dict[str, int]:
    """All files and directories with their times of change."""
    return {str(path): path.stat().st_mtime_ns for path in directory.rglob("*")}


def test_reading_changes_nothing(study: Any, snapshot: Any) -> None:
    journal = study.directory / "studies/tiny/grid_trap/pr/journal.log"
    before_torn = journal.read_bytes()
    with journal.open("ab") as file:
        file.write(b'{"op_code":4,"wor')  # a searching process is in the middle of a line
    before = snapshot(study.directory), _everything(study.directory)
    one = _ask(study, "task=study", "study=tiny", "modality=pr")
    both = _ask(study, "task=study", "study=tiny")
    made = _ask(study, "task=table", "study=tiny")
    assert (snapshot(study.directory), _everything(study.directory)) == before
    journal.write_bytes(before_torn)
    assert "trials               3 completed, 0 running, 0 failed; 3 of 3 asked for have ended" in one
    assert "not confirmed: searched on the seeds it reports" in one
    assert (study.directory / one.splitlines()[-1] / "metrics.json").exists()
    assert [line.split()[:3] for line in both.splitlines()[2:4]] == [
        ["grid_trap", "p", "3/3"],
        ["grid_trap", "pr", "3/3"],
    ]
    assert "study=tiny" not in made
    assert "All trials are finished: 3 in each of 2 cells." in made
    assert "Searched on 2 seeds, 0 to 1." in made


def test_a_study_and_a_search_have_pages(study: Any) -> None:
    for words, place, said in (
        ((), "studies/tiny/report.html", "study of"),
        (("modality=pr",), "studies/tiny/grid_trap/pr/report.html", "A search with 3 trials."),
    ):
        assert _ask(study, "task=report", "study=tiny", *words).splitlines()[-1] == place
        html = (study.directory / place).read_text()
        assert said in html
        assert "too good on average" in html
        (study.directory / place).unlink()


def test_the_table_has_the_best_trial_until_another_value_is_confirmed(study: Any) -> None:
    folder = study.directory / "studies/tiny/grid_trap/pr"
    best = Path(_ask(study, "task=study", "study=tiny", "modality=pr").splitlines()[-1])
    metrics = read_json(study.directory / best / "metrics.json")
    assert metrics is not None

    def entry(name: str) -> dict[str, str]:
        _ask(study, "task=table", "study=tiny", "task.format=csv", f"task.output={name}")
        lines = (study.directory / f"{name}.csv").read_text().splitlines()
        rows = csv.DictReader(lines)
        return next(r for r in rows if (r["metric"], r["modality"], r["kind"]) == ("normalized_return", "pr", "ours"))

    searched = entry("out/searched")
    assert float(searched["mean"]) == pytest.approx(metrics["mean"]["normalized_return"])
    assert float(searched["stderr"]) == pytest.approx(metrics["stderr"]["normalized_return"])
    assert searched["searched"] == "true"
    number = next(
        line.partition(", trial ")[2].partition(",")[0]
        for line in _ask(study, "task=study", "study=tiny", "modality=pr").splitlines()
        if line.startswith("best ")
    )
    final = {"regret": [3.0, 5.0], "normalized_return": [60.0, 64.0], "epic_distance": [0.5, 0.5]}
    content = {"trial": int(number), "value": 4.0, "stderr": 1.0, "seeds": [90, 91], "final": final}
    content["failed_replicates"] = []
    content["run_directory"] = str(best)
    write_json(folder / "confirmed.json", content)
    confirmed = entry("out/confirmed")
    (folder / "confirmed.json").unlink()
    assert (confirmed["mean"], confirmed["stderr"], confirmed["searched"]) == ("62.0", "2.0", "false")


def test_all_formats_are_written(study: Any) -> None:
    out = _ask(study, "task=table", "study=tiny", "task.format=all", "task.output=paper/table", COLUMNS="80")
    written = [f"paper/table{suffix}" for suffix in (".tex", ".md", ".csv", ".txt")]
    assert out.splitlines()[-4:] == written
    assert all("Study tiny" in (study.directory / path).read_text() for path in written if path != "paper/table.csv")
    assert max(len(line) for line in out.splitlines()) <= 80
    assert _ask(study, "task=table", "study=tiny", "task.format=latex") == (study.directory / written[0]).read_text()


def test_figures_only_on_request(study: Any) -> None:
    folder = study.directory / "studies/tiny/grid_trap/pr/figures"
    assert not folder.exists()
    _ask(study, "task=study", "study=tiny", "modality=pr", "task.figures=true")
    pages = {"study.html"} if find_spec("plotly") else set()
    pictures = {f"{name}.{suffix}" for name in ("history", "allocation", "simplex") for suffix in ("png", "pdf")}
    assert {path.name for path in folder.iterdir()} == pictures | pages
    out = _ask(study, "task=study", "task.figures=true")  # of all studies
    written = {f"studies/tiny/grid_trap/{modality}/figures/history.png" for modality in ("p", "pr")}
    assert written <= set(out.splitlines())
    lines = _ask(study, "task=plot", "study=tiny", "modality=pr").splitlines()
    assert lines[-1] == "studies/tiny/grid_trap/pr/figures"
    assert {Path(line).name for line in lines[:-1]} == pictures | pages
    assert _ask(study, "task=plot", "study=tiny").splitlines()[-1] == "studies/tiny"


def test_the_best_trial_can_be_pasted(study: Any) -> None:
    lines = _ask(study, "task=study", "study=tiny", "modality=pr").splitlines()
    (words,) = [line.split(maxsplit=1)[1] for line in lines if line.startswith("overrides ")]
    alone = study(*shlex.split(words), tiny=False)  # the words have the small settings, as the search had
    assert alone.status == 0, alone.err
    assert read_json(alone.run / "status.json")["config_hash"] == Path(lines[-1]).name


def test_all_studies_are_listed_where_none_is_named(study: Any) -> None:
    assert "study tiny: 2 cells, regret to minimize" in _ask(study, "task=study")


def test_plain_runs_have_a_table_too(app: Any) -> None:
    for seed in ("seed=0", "seed=2"):
        assert app("modality=d", seed).status == 0
    made = _ask(app, "task=table", "task.format=markdown", "modality=d")
    assert "Completed runs in runs, nothing searched." in made
    assert "Over 4 seeds, 0 to 3." in made
    assert "published" not in made.partition("Completed")[0]  # their grids are larger
    assert app("modality=d", "optim.lr=0.02").status == 0
    refused = app("task=table", "modality=d", tiny=False)
    assert refused.status == 2
    assert "grid_trap d (2 settings)" in refused.err
    assert "Over 2 seeds, 0 to 1." in _ask(app, "task=table", "optim.lr=0.02")


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("task=study study=tinny", ("study=tinny", "there are: tiny")),
        ("task=table study=tinny", ("study=tinny", "there are: tiny")),
        ("task=study study=tiny env=grid_cliff", ("env=grid_cliff", "grid_trap p, grid_trap pr")),
        ("task=study paths.studies=nowhere", ("paths.studies=nowhere", "there is no study yet")),
        ("task=study study=tiny task.figures=some", ("task.figures=some", "true, false")),
        ("task=table study=tiny task.format=html", ("task.format=html", "latex, markdown, csv, all")),
        ("task=table study=tiny task.format=all", ("task.output=null", "path without suffix")),
        ("task=table paths.runs=nowhere", ("paths.runs=nowhere", "no completed run")),
        ("task=study study=tiny search.storage=sqlite:///no.db", ("search.storage=sqlite:///no.db", "no such file")),
    ],
)
def test_what_is_wrong_is_one_clear_line(command: str, words: tuple[str, ...], study: Any) -> None:
    before = _everything(study.directory)
    outcome = study(*command.split(), tiny=False)
    assert outcome.status == 2
    (line,) = outcome.err.splitlines()
    assert all(word in line for word in words), line
    assert _everything(study.directory) == before
