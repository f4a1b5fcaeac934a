"""Figures on disk, and the style that leaves nothing behind."""

from pathlib import Path

import pytest
from matplotlib import rcParams
from matplotlib.figure import Figure
from PIL import Image

from mavrl.errors import StorageError
from mavrl.reports.figures.save import save_figure
from mavrl.reports.figures.style import MOST_LINES, entitle, line_style, sheet, styled, thousands


@styled
def _figure() -> Figure:
    figure, (axes,) = sheet(1, 1, 3.0, 2.0)
    axes.plot([0, 1], [-1, 1])
    axes.set_xlabel("a label")
    entitle(figure, "a title")
    return figure


def test_a_picture_and_beside_it_a_page_with_its_fonts(tmp_path: Path) -> None:
    paths = save_figure(_figure(), tmp_path / "figures" / "a.png", dpi=100)
    assert paths == [tmp_path / "figures" / "a.png", tmp_path / "figures" / "a.pdf"]
    with Image.open(paths[0]) as picture:
        assert picture.size == (300, 200)
    page = paths[1].read_bytes()
    assert page.startswith(b"%PDF")
    assert page.count(b"/FontFile2") == 1  # TrueType, and one of them: a true minus would take a second
    assert {path.name for path in paths[0].parent.iterdir()} == {"a.png", "a.pdf"}


def test_the_same_figure_is_the_same_files(tmp_path: Path) -> None:
    first, second = (save_figure(_figure(), tmp_path / name / "a.png") for name in ("1", "2"))
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]


def test_matplotlib_s_settings_stay_as_they_are(tmp_path: Path) -> None:
    before = dict(rcParams)
    save_figure(_figure(), tmp_path / "a.png")
    assert dict(rcParams) == before


def test_a_figure_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError):
        save_figure(_figure(), tmp_path / "file" / "a.png")


def test_lines_differ_in_more_than_colour() -> None:
    styles = [line_style(k) for k in range(MOST_LINES)]
    for key in ("color", "linestyle", "marker"):
        assert len({str(style[key]) for style in styles}) == MOST_LINES
    assert line_style(MOST_LINES) == styles[0]


def test_numbers_of_steps() -> None:
    assert [thousands(x) for x in (0, 500, 40_000)] == ["0", "0.5 k", "40 k"]
