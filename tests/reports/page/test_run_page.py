"""The page of one run: what it says, of runs that ended in every way."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from mavrl.reports.page.content import Entry, Page, Section
from mavrl.reports.page.run import run_page
from mavrl.reports.page.writing import page_html
from mavrl.storage.files import read_json, write_json
from mavrl.storage.index import read_run

VALUES = {"normalized_return": [90.0, 94.0, 98.0], "regret": [0.5, 0.25, 0.0]}


@pytest.fixture
def page_of() -> Callable[[Path], Page]:
    """The page of a run's directory, as if it was written into it."""

    def make(directory: Path) -> Page:
        run = read_run(directory)
        assert run is not None
        return run_page(run, directory, "made today")

    return make


def change(directory: Path, **more: Any) -> None:
    write_json(directory / "metrics.json", {**(read_json(directory / "metrics.json") or {}), **more})


def section(page: Page, title: str) -> Section:
    (found,) = (each for each in page.sections if each.title == title)
    return found


def texts(row: Any) -> list[str]:
    return [entry.text for entry in row]


def test_metrics_have_errors_intervals_and_words(make_run: Any, page_of: Any) -> None:
    directory = make_run(values=VALUES)
    counts = {"preference": 5, "demonstration": 1, "rating": 0}
    change(directory, n_samples=counts, comparison={"expert": 100.0, "constant reward +1": 99.0})
    page = page_of(directory)
    assert page.title == "grid_trap pd"
    (summary,) = page.summary
    assert "learned from 5 preferences, 1 demonstration, once for each of 3 seeds, 0 to 2." in summary
    assert "normalized return is 94.0 ± 0.5 (100 is optimal), with a 95 % interval of 91.8 to 96.2" in summary
    (grid,) = section(page, "Results").grids
    assert texts(grid.rows[0]) == [
        "normalized return (100 is optimal)", "94.000", "0.500", "91.849 to 96.151", "higher", "percent"
    ]  # fmt: skip
    assert "expert 100.0, constant reward +1 99.0" in section(page, "Results").notes[0]
    (replicates,) = section(page, "Each replicate").grids
    assert texts(replicates.rows[2]) == ["2", "98", "0"]


def test_one_replicate_has_no_error(make_run: Any, page_of: Any) -> None:
    page = page_of(make_run(values={"regret": [0.5]}))
    assert section(page, "Results").sentences == []
    assert texts(section(page, "Results").grids[0].rows[0]) == ["regret", "0.500", "lower", "return"]
    assert section(page, "Each replicate").is_empty
    assert "with seed 0" in page.summary[0]


@pytest.mark.parametrize(
    ("state", "said"),
    [("failed", "failed"), ("running", "cut off"), ("interrupted", "cut off"), ("completed", "damaged")],
)
def test_a_run_without_a_result_is_shown_as_such(state: str, said: str, make_run: Any, page_of: Any) -> None:
    directory = make_run(state=state, error="TrainingError: it broke")
    if state != "completed":
        make_run("grid_trap/pd/bbb", values=VALUES)
        (directory / "metrics.json").write_text((directory.parent / "bbb/metrics.json").read_text())
    page = page_of(directory)
    assert said in page.warnings[0]
    assert page.summary == []
    assert "Results" not in [each.title for each in page.sections]
    assert "normalized return" not in page_html(page)


def test_held_out_labels_annotators_rounds_and_failed_replicates(make_run: Any, page_of: Any) -> None:
    directory = make_run(values=VALUES)
    kind = {
        "labels": 12, "episodes": 4, "better": False, "stderr": {"gain": 0.2},
        "mean": {"log_likelihood": -0.7, "constant": -0.69, "gain": -0.01, "accuracy": 0.5},
    }  # fmt: skip
    change(
        directory,
        held_out={"folds": 5, "kinds": {"preference": kind}},
        annotators=[{"name": "ann", "labels": {"preference": 12}, "learned": {}}],
        rounds=[{"round": 1.0, "labels_preference": 4.0}],
        failed_replicates=[1],
    )
    page = page_of(directory)
    assert page.warnings == [
        "Held-out labels: not better than a constant: preference.",
        "Replicates that failed and are left out of the means: [1].",
    ]
    held_out = section(page, "Held-out labels")
    assert texts(held_out.grids[0].rows[0]) == ["preference", "12", "-0.70", "-0.69", "-0.01 ± 0.20"]
    assert held_out.sentences[-1] == "Preference: accuracy 0.50."
    assert texts(section(page, "Annotators").grids[0].rows[0]) == ["ann", "12 preference"]
    assert texts(section(page, "Rounds of questions").grids[0].rows[0]) == ["1", "4"]
    assert texts(section(page, "Each replicate").grids[0].rows[1])[-1] == "failed"


def test_files_are_linked_and_those_of_loggers_only_as_folders(make_run: Any, page_of: Any) -> None:
    directory = make_run(values=VALUES)
    for name in ("reward_model/a b#?.json", "wandb/x/y/z.txt", "policies/0/policy.safetensors"):
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_text("four")
    (grid,) = section(page_of(directory), "Files").grids
    links = {row[0].text: row[0].link for row in grid.rows}
    assert links["reward_model/a b#?.json"] == "./reward_model/a%20b%23%3F.json"
    assert (links["wandb/"], links["policies/0/"]) == ("./wandb", "./policies/0")
    assert ".lock" not in links


def test_secrets_stay_secret(make_run: Any, page_of: Any) -> None:
    config = {"env": {"name": "grid_trap", "kwargs": {"api_key": "hush-hush"}, "url": "https://me:hush-hush@host/x"}}
    html = page_html(page_of(make_run(values=VALUES, config=config)))
    assert "hush-hush" not in html
    assert "api_key" in html


def test_nothing_from_files_is_markup(make_run: Any, page_of: Any) -> None:
    evil = '"><script>alert(1)</script><img src=x onerror=alert(2)>'
    config = {"choices": {"env": evil, "modality": evil}, "overrides": [evil], "optim": {evil: evil}}
    directory = make_run(values=VALUES, config=config)
    change(
        directory,
        env=evil,
        protocol={evil: evil},
        n_samples={evil: 1},
        mean={evil: 1.0},
        final={evil: [1.0] * 3},
        annotators=[{"name": evil, "labels": {evil: 1}, "learned": {evil: {evil: 1.0}}}],
        held_out={"left_out": evil},
    )
    (directory / "<script>alert(3)<").mkdir()
    (directory / "<script>alert(3)<" / "script>.txt").touch()
    html = page_html(page_of(directory))
    assert html.count("<script") == 1
    assert "<img" not in html
    assert "alert(3)" in html
    failed = make_run("grid_trap/pd/bad", "failed", error=evil)
    assert page_html(page_of(failed)).count("<script") == 1


def test_pictures_are_in_the_page_and_damaged_ones_left_out(make_run: Any, page_of: Any) -> None:
    directory = make_run(values=VALUES)
    (directory / "figures").mkdir()
    for name in ("training", "losses", "rewards"):
        Image.new("RGB", (40, 20)).save(directory / f"figures/{name}.png")
    (directory / "figures/broken.png").write_bytes(b"no picture")
    pictures = section(page_of(directory), "Figures").pictures
    assert [picture.title for picture in pictures] == ["rewards", "training", "losses"]
    assert all(picture.address.startswith("data:image/png;base64,") for picture in pictures)
    assert (pictures[0].width, pictures[0].height, pictures[0].link) == (40, 20, "./figures/rewards.png")
    assert pictures[0].caption


def test_an_entry_may_be_plain_text() -> None:
    page = Page("a", [], [Section("b", facts={"c": "d", "e": Entry("f", "./g")})])
    html = page_html(page)
    assert "<dd>d</dd>" in html
    assert '<dd><a href="./g">f</a></dd>' in html
