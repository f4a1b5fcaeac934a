"""A table of results for the terminal, for LaTeX, as Markdown and as CSV."""

import csv
import io
from collections.abc import Callable, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text
from tabulate import tabulate

from mavrl.reports.escaping import csv_text, latex_text, markdown_text
from mavrl.reports.table import Entry, Line, ResultTable, Section, marks
from mavrl.reports.words import rounded, with_error

_DAGGER = "†"
_STYLES = {"best": "bold", "second": "underline"}
_SIGNS = {"best": "*", "second": "+"}  # where nothing can be bold
LEGEND = "Bold: best of a row; underlined: second best."
_INDENT = "  "
_BELOW = ("published", "interval")  # rows that belong to the one before


def terminal(table: ResultTable, width: int, styled: bool = True) -> str:
    """Render for a terminal: columns in as many blocks as the width needs.

    Args:
        table: the table to render.
        width: characters of a line.
        styled: whether the terminal can show bold and underlined text.
    """
    text = io.StringIO()
    console = Console(width=width, file=text, force_terminal=styled, highlight=False, markup=False)
    label = max((len(line.label) + 4 for section in table.sections for line in section.lines), default=0)
    for block in _blocks(table.columns, table, width - label):
        grid = Table(box=None, padding=(0, 2, 0, 0), header_style="bold", pad_edge=False)
        grid.add_column("", no_wrap=True, min_width=label - 2)
        for column in block:
            grid.add_column(column, justify="right", no_wrap=True)
        for section in table.sections:
            grid.add_row(Text(section.metric.words, "italic"))
            for line in section.lines:
                indent = _INDENT * (2 if line.kind in _BELOW else 1)
                entries = _row_cells(line, section, block, _terminal_entry, Text("-", "dim"))
                grid.add_row(indent + line.label, *entries)
        console.print(grid)
        console.print()
    for sentence in (*table.caption, "* best of a row, + second best."):
        console.print(sentence)
    return text.getvalue().rstrip("\n")


def latex(table: ResultTable) -> str:
    """Render as a table environment of LaTeX, which needs the packages booktabs and graphicx.

    The first sentence of the caption is its caption, and the others are notes below it.
    """
    n = len(table.columns)
    rows = [r"\toprule", _latex_row(["", *table.columns]), r"\midrule"]
    for number, section in enumerate(table.sections):
        title = latex_text(section.metric.words)
        rows += [r"\addlinespace"] * (number > 0) + [rf"\multicolumn{{{n + 1}}}{{l}}{{\emph{{{title}}}}} \\"]
        for line in section.lines:
            cells = _row_cells(line, section, table.columns, _latex_entry, "--")
            indent = r"\quad " if line.kind in _BELOW else ""
            rows.append(_latex_row([indent + latex_text(line.label), *cells]))
    lines = [
        r"% \usepackage{booktabs,graphicx}",
        r"\begin{table*}",
        r"\centering",
        rf"\caption{{{latex_text(' '.join(table.caption[:1]))}}}",
        r"\medskip",
        r"\resizebox{\textwidth}{!}{%",
        rf"\begin{{tabular}}{{l{'r' * n}}}",
        *rows,
        r"\bottomrule",
        r"\end{tabular}}",
        r"\par\medskip",
        rf"\parbox{{\textwidth}}{{\footnotesize {latex_text(' '.join((*table.caption[1:], LEGEND)))}}}",
        r"\end{table*}",
    ]
    return "\n".join(lines) + "\n"


def markdown(table: ResultTable) -> str:
    """Render as Markdown: a pipe table for each metric, and the caption."""
    parts = []
    for section in table.sections:
        rows = []
        for line in section.lines:
            cells = _row_cells(line, section, table.columns, _markdown_entry, "-")
            label = markdown_text(line.label)
            rows.append([f"*{label}*" if line.kind in _BELOW else label, *cells])
        head, align = [section.metric.words, *table.columns], ("left", *("right" for _ in table.columns))
        parts.append(tabulate(rows, head, tablefmt="github", colalign=align, disable_numparse=True))
    return "\n\n".join([*parts, markdown_text(" ".join((*table.caption, LEGEND)))]) + "\n"


def comma_separated(table: ResultTable) -> str:
    """Render as CSV: a row for each entry. The caption is no data, and left out."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["metric", "row", "kind", "modality", "mean", "stderr", "low", "high", "searched", "mark"])
    for section in table.sections:
        env = ""
        for line in (line for line in section.lines if line.kind != "interval"):
            env = line.label if line.kind == "ours" else env
            marked = marks(line, section)
            for column in table.columns:
                if (entry := line.entries.get(column)) is not None:
                    low, high = entry.interval or ("", "")
                    row = env if line.kind == "published" else line.label
                    error = "" if entry.stderr is None else entry.stderr
                    writer.writerow([
                        section.metric.name, csv_text(row), line.kind, column, entry.mean, error, low, high,
                        str(entry.searched).lower(), marked.get(column, ""),
                    ])  # fmt: skip
    return text.getvalue()


FORMATS: dict[str, tuple[str, Callable[[ResultTable], str]]] = {
    "latex": (".tex", latex),
    "markdown": (".md", markdown),
    "csv": (".csv", comma_separated),
    "terminal": (".txt", lambda table: terminal(table, 120, styled=False) + "\n"),
}


def _row_cells(
    line: Line, section: Section, columns: Sequence[str], show: Callable[[str, str], Any], missing: Any
) -> list[Any]:
    """The entries of a row, each shown with its mark."""
    marked = marks(line, section)
    return [
        show(entry_text(line.entries[column], section.metric.digits, line.kind), marked.get(column, ""))
        if column in line.entries
        else missing
        for column in columns
    ]


def _blocks(columns: Sequence[str], table: ResultTable, room: int) -> list[list[str]]:
    """Divide the columns into blocks that fit side by side."""
    blocks: list[list[str]] = []
    taken = room
    for column in columns:
        texts = [
            entry_text(line.entries[column], section.metric.digits, line.kind)
            for section in table.sections
            for line in section.lines
            if column in line.entries
        ]
        width = max(len(column), *(len(text) + 1 for text in texts)) + 2
        if not blocks or taken + width > room + 2:  # the last column has no gap after it
            blocks.append([])
            taken = 0
        blocks[-1].append(column)
        taken += width
    return blocks


def entry_text(entry: Entry, digits: int, kind: str) -> str:
    """What is shown of an entry.

    Args:
        entry: of a table.
        digits: after the point.
        kind: of its line.
    """
    if kind == "interval" and entry.interval is not None:
        return " to ".join(rounded(end, digits) for end in entry.interval)
    return with_error(entry.mean, entry.stderr, digits) + (_DAGGER if entry.searched else "")


def _terminal_entry(text: str, mark: str) -> Text:
    return Text(_SIGNS.get(mark, "") + text, _STYLES.get(mark, ""))


def _latex_entry(text: str, mark: str) -> str:
    text = latex_text(text).replace("-", "$-$")
    return {"best": rf"\textbf{{{text}}}", "second": rf"\underline{{{text}}}"}.get(mark, text)


def _markdown_entry(text: str, mark: str) -> str:
    return {"best": f"**{text}**", "second": f"<u>{text}</u>"}.get(mark, text)


def _latex_row(cells: list[str]) -> str:
    return " & ".join(cells) + r" \\"
