"""Pages in headless Chromium: nothing is loaded or wrong, tables sort, and nothing is wider than the window."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from mavrl.reports.page.run import run_page
from mavrl.reports.page.runs import runs_page
from mavrl.reports.page.writing import page_html
from mavrl.storage.files import read_json, write_json, write_text
from mavrl.storage.index import find_runs, read_run

playwright = pytest.importorskip("playwright.sync_api")
CHROMIUM = Path(os.environ.get("CHROMIUM", "/usr/bin/chromium"))

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not CHROMIUM.exists(), reason="needs Debian's chromium (or CHROMIUM=<path>)"),
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as started:
        chromium = started.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.fixture
def pages(make_run: Any, tmp_path: Path) -> dict[str, Path]:
    """A run with everything, long and hostile names among it, and a folder of runs."""
    root, evil = tmp_path / "runs", "<script>document.title='owned'</script>"
    for number, subset in enumerate(("p", "d", "pd")):
        values = {"normalized_return": [90.0 - number, 94.0], "epic_distance": [0.1, 0.2], "mean_return": [-5.0, 1e4]}
        directory = make_run(f"grid_trap/{subset}/aaa", values=values)
        (directory / "figures").mkdir()
        for name in ("rewards", "losses"):
            Image.new("RGB", (1600, 800), "teal").save(directory / f"figures/{name}.png")
    make_run("grid_trap/pr/bbb", "failed", error="TrainingError: " + "long" * 100)
    content: Any = read_json(directory / "metrics.json")
    more = {"annotators": [{"name": evil, "labels": {"preference": 12}, "learned": {}}], "n_samples": {evil: 3}}
    write_json(directory / "metrics.json", {**content, **more, "protocol": {"word" * 40: "value" * 60}})
    run = read_run(directory)
    assert run is not None
    write_text(directory / "report.html", page_html(run_page(run, directory, "made today")))
    several = runs_page("all runs", find_runs(root), [("grid_trap", "pdrs")], root, root, "made today", "x" * 300)
    write_text(root / "report.html", page_html(several))
    return {"run": directory / "report.html", "runs": root / "report.html"}


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [400, 1280])
@pytest.mark.parametrize("name", ["run", "runs"])
def test_it_opens_in_any_width_without_errors_and_requests(
    name: str, width: int, scheme: Any, browser: Any, pages: dict[str, Path]
) -> None:
    said, asked = [], []
    page = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(pages[name].as_uri())
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate("[...document.images].every(image => image.complete && image.naturalWidth > 0)")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == (
        "rgb(255, 255, 255)" if scheme == "light" else "rgb(23, 24, 26)"
    )
    page.close()
    assert said == []
    assert [url for url in asked if not url.startswith("data:")] == [pages[name].as_uri()]


def test_on_paper_it_is_black_on_white_and_nothing_is_cut(browser: Any, pages: dict[str, Path]) -> None:
    page = browser.new_page(viewport={"width": 680, "height": 900}, color_scheme="dark")
    page.emulate_media(media="print")
    page.goto(pages["runs"].as_uri())
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert page.evaluate("getComputedStyle(document.body).color") == "rgb(0, 0, 0)"
    assert page.evaluate("[...document.querySelectorAll('.scroll')].every(e => e.scrollWidth <= e.clientWidth)")
    page.close()


def test_hostile_names_do_nothing(browser: Any, pages: dict[str, Path]) -> None:
    page = browser.new_page()
    page.goto(pages["run"].as_uri())
    assert page.title() == "grid_trap pd"
    page.evaluate(
        "document.body.append(Object.assign(document.createElement('img'), {src: 'https://example.org/x.png'}))"
    )
    assert page.evaluate("document.images[document.images.length - 1].naturalWidth") == 0
    page.close()


def test_heads_sort_by_mouse_and_keyboard(browser: Any, pages: dict[str, Path]) -> None:
    page = browser.new_page()
    page.goto(pages["runs"].as_uri())
    table = page.locator("#runs table")
    head = table.locator("th", has_text="normalized return")
    column = head.evaluate("head => head.cellIndex")

    def shown() -> list[str]:
        return table.locator(f"tbody tr td:nth-child({column + 1})").all_text_contents()

    assert head.get_attribute("aria-sort") is None
    head.locator("button").click()
    assert head.get_attribute("aria-sort") == "ascending"
    assert shown() == ["91.0 ± 0.5", "91.5 ± 0.5", "92.0 ± 0.5", "", ""]
    head.locator("button").focus()
    page.keyboard.press("Enter")
    assert head.get_attribute("aria-sort") == "descending"
    assert shown() == ["92.0 ± 0.5", "91.5 ± 0.5", "91.0 ± 0.5", "", ""]
    words = table.locator("th", has_text="modality")
    words.locator("button").click()
    assert head.get_attribute("aria-sort") is None
    assert table.locator("tbody tr td:nth-child(2)").all_text_contents() == ["d", "p", "pd", "pdrs", "pr"]
    page.close()
