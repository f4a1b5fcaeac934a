"""The four forms of one small table."""

import csv
import io
from collections.abc import Callable

import pytest

from mavrl.metrics import METRICS
from mavrl.reports.rendering import FORMATS, comma_separated, latex, markdown, terminal
from mavrl.reports.table import Entry, Line, ResultTable, Section

OURS = {"p": Entry(99.96, 0.24, searched=True), "d": Entry(-3.0, 1.0), "pdrs": Entry(-0.04)}
SPAN = {"p": Entry(50.0, interval=(-1.5, 60.25))}


@pytest.fixture
def table() -> ResultTable:
    lines = (
        Line("grid_trap", "ours", OURS), Line("published", "published", {"p": Entry(78.31, 5.42, searched=True)}),
        Line("IQM of 2 grids", "aggregate", SPAN), Line("95 % interval", "interval", SPAN),
    )  # fmt: skip
    sections, caption = (Section(METRICS["normalized_return"], lines),), ("50 % of a_b ±.", "More | notes.")
    return ResultTable(("p", "d", "pdrs"), sections, caption)


def test_terminal(table: ResultTable) -> None:
    lines = terminal(table, 120, styled=False).splitlines()
    assert lines[0].split() == ["p", "d", "pdrs"]
    assert lines[2].split() == ["grid_trap", "*100.0", "±", "0.2†", "-3.0", "±", "1.0", "+0.0"]
    assert lines[3].split() == ["published", "78.3", "±", "5.4†", "-", "-"]
    assert lines[4].split() == ["IQM", "of", "2", "grids", "50.0", "-", "-"]
    assert lines[5].split() == ["95", "%", "interval", "-1.5", "to", "60.2", "-", "-"]
    assert "50 % of a_b ±." in lines


def test_terminal_shows_as_many_columns_as_fit(table: ResultTable) -> None:
    narrow = terminal(table, 49, styled=False).splitlines()
    heads = [line.split() for line in narrow if line.split() in (["p", "d"], ["pdrs"], ["p"], ["p", "d", "pdrs"])]
    assert heads == [["p", "d"], ["pdrs"]]
    assert max(map(len, narrow)) <= 49
    assert sum("grid_trap" in line for line in narrow) == 2


def test_terminal_styles_only_where_asked(table: ResultTable) -> None:
    styled = terminal(table, 120)
    assert "\x1b[1m*100.0 ± 0.2†" in styled
    assert "\x1b[4m+0.0" in styled
    assert "\x1b" not in terminal(table, 120, styled=False)


def test_latex(table: ResultTable) -> None:
    text = latex(table)
    assert r"\begin{tabular}{lrrr}" in text
    assert r" & p & d & pdrs \\" in text
    row = r"grid\_trap & \textbf{100.0 $\pm$ 0.2$^{\dagger}$} & $-$3.0 $\pm$ 1.0 & \underline{0.0} \\"
    assert row in text
    assert r"\quad published & 78.3 $\pm$ 5.4$^{\dagger}$ & -- & -- \\" in text
    assert r"\caption{50 \% of a\_b $\pm$.}" in text
    assert r"\footnotesize More \textbar{} notes. Bold: best" in text
    assert text.count("{") == text.count("}")
    rows = [line for line in text.splitlines() if line.endswith(r"\\") and "multicolumn" not in line]
    assert {line.count("&") for line in rows} == {3}


@pytest.mark.parametrize(
    ("render", "written"),
    [
        (latex, r"\textbackslash{}input\{x\}\textbar{}=1"),
        (markdown, r"| \\input{x}\|=1"),
        (comma_separated, r"normalized_return,\input{x}|=1"),
    ],
)
def test_names_mean_nothing_in_a_format(render: Callable[[ResultTable], str], written: str) -> None:
    lines = (Line(r"\input{x}|=1", "ours", {"p": Entry(1.0)}), Line("=1+1", "ours", {"p": Entry(1.0)}))
    text = render(ResultTable(("p",), (Section(METRICS["normalized_return"], lines),)))
    assert written in text
    if render is comma_separated:
        assert ",'=1+1," in text


def test_markdown(table: ResultTable) -> None:
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in markdown(table).splitlines()[:6]]
    assert rows[0] == ["normalized return", "p", "d", "pdrs"]
    assert rows[2] == ["grid_trap", "**100.0 ± 0.2†**", "-3.0 ± 1.0", "<u>0.0</u>"]
    assert rows[3][:2] == ["*published*", "78.3 ± 5.4†"]
    assert "50 % of a_b ±." in markdown(table)


def test_csv_has_full_precision_and_a_row_for_each_entry(table: ResultTable) -> None:
    lines = comma_separated(table).splitlines()
    assert not any(line.startswith("#") for line in lines)
    rows = list(csv.DictReader(io.StringIO("\n".join(lines))))
    assert [(row["row"], row["kind"], row["modality"]) for row in rows] == [
        ("grid_trap", "ours", "p"), ("grid_trap", "ours", "d"), ("grid_trap", "ours", "pdrs"),
        ("grid_trap", "published", "p"), ("IQM of 2 grids", "aggregate", "p"),
    ]  # fmt: skip
    assert [rows[0][key] for key in ("mean", "stderr", "searched", "mark")] == ["99.96", "0.24", "true", "best"]
    assert [rows[1][key] for key in ("searched", "mark")] == ["false", ""]
    assert [rows[4][key] for key in ("low", "high")] == ["-1.5", "60.25"]


def test_each_format_has_its_suffix(table: ResultTable) -> None:
    assert {name: suffix for name, (suffix, _) in FORMATS.items()} == {
        "latex": ".tex", "markdown": ".md", "csv": ".csv", "terminal": ".txt"
    }  # fmt: skip
    assert all(render(table).endswith("\n") for _, render in FORMATS.values())
