"""The page of several runs."""

from pathlib import Path
from typing import Any

from PIL import Image

from mavrl.reports.page.content import Page
from mavrl.reports.page.runs import runs_page
from mavrl.storage.index import find_runs


def made(root: Path, pending: list[tuple[str, str]] | None = None, **more: Any) -> Page:
    return runs_page("sweep s1", find_runs(root), pending or [], root, root, "made today", **more)


def sections(page: Page) -> dict[str, Any]:
    return {section.title: section for section in page.sections if not section.is_empty}


def test_only_completed_runs_have_results(make_run: Any, tmp_path: Path) -> None:
    make_run("grid_cliff/p/aaa", values={"normalized_return": [50.0, 60.0], "epic_distance": [0.5, 0.6]})
    make_run("grid_trap/p/aaa", values={"normalized_return": [90.0, 94.0], "epic_distance": [0.1, 0.2]})
    make_run("grid_trap/d/bbb", "failed", error="TrainingError: it broke")
    make_run("grid_trap/pd/ccc", "running")
    page = made(tmp_path / "runs", [("grid_trap", "pdrs")], command="run.py -m")
    found = sections(page)
    assert page.summary == ["5 runs: 1 interrupted, 2 completed, 1 failed, 1 pending."]
    assert page.warnings == ["3 runs are not completed, and not in the results."]
    by_title = {grid.title: grid for grid in found["Results"].grids}
    returns = by_title["normalized return (100 is optimal)"]
    assert [[entry.text for entry in row] for row in returns.rows] == [
        ["grid_trap", "92.0 ± 2.0"],
        ["grid_cliff", "55.0 ± 5.0"],
    ]
    assert returns.sortable
    assert [row[0].text for row in by_title["normalized return (100 is optimal), over environments"].rows] == [
        "IQM of 2 grids", "95 % interval"
    ]  # fmt: skip
    assert not by_title["normalized return (100 is optimal), over environments"].sortable
    (grid,) = found["Runs"].grids
    names = [column.name for column in grid.columns]
    states = [row[names.index("state")] for row in grid.rows]
    assert [entry.text for entry in states] == ["completed", "failed", "interrupted", "completed", "pending"]
    assert states[1].style == "state failed"
    assert grid.rows[0][names.index("directory")].link == "./grid_trap/p/aaa"
    assert [entry.text for entry in found["What failed"].facts.values()] == ["TrainingError: it broke"]
    assert found["Command"].text == "run.py -m"


def test_a_run_is_linked_by_its_own_page_where_it_has_one(make_run: Any, tmp_path: Path) -> None:
    directory = make_run(values={"regret": [1.0, 2.0]})
    (directory / "report.html").touch()
    (directory / "figures").mkdir()
    Image.new("RGBA", (1000, 500), (255, 0, 0, 128)).save(directory / "figures/other.png")
    Image.new("RGB", (1000, 500)).save(directory / "figures/training.png")
    (picture,) = sections(made(tmp_path / "runs"))["Pictures of the runs"].pictures
    assert picture.link == "./grid_trap/pd/aaa/report.html"
    assert (picture.width, picture.height, picture.title) == (480, 240, "grid_trap pd")
    assert picture.address.startswith("data:image/webp;base64,")


def test_runs_without_any_result(make_run: Any, tmp_path: Path) -> None:
    make_run("grid_trap/d/bbb", "failed")
    page = made(tmp_path / "runs")
    assert sections(page)["Results"].sentences == ["No run has been completed yet."]


def test_cells_with_several_settings_are_said_to_be_left_out(make_run: Any, tmp_path: Path) -> None:
    for name, lr in (("aaa", 0.1), ("bbb", 0.2)):
        make_run(f"grid_trap/p/{name}", values={"normalized_return": [90.0]}, config={"optim": {"lr": lr}})
    results = sections(made(tmp_path / "runs"))["Results"]
    assert "Left out, because their runs differ in more than seeds: grid_trap p (2 settings)" in results.sentences[0]
