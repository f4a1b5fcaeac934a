"""What a page shows, as plain data. All text is shown as it stands: it comes from files, and is never markup."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from mavrl.reports.plain_table import Column, TextTable
from mavrl.reports.rendering import LEGEND, entry_text
from mavrl.reports.table import Line, ResultTable, marks
from mavrl.reports.table import Section as ResultSection


@dataclass(frozen=True)
class Entry:
    """One entry of a table.

    Args:
        text: that is shown.
        link: relative address that it leads to; empty for none.
        style: best, second, below, or a state of runs; empty for none.
    """

    text: str
    link: str = ""
    style: str = ""


@dataclass(frozen=True)
class Grid:
    """A table.

    Args:
        columns: names and alignments; those at the right are sorted as numbers.
        rows: entries of each row.
        title: what it is about.
        sortable: whether its rows mean the same in any order.
    """

    columns: Sequence[Column]
    rows: Sequence[Sequence[Entry]]
    title: str = ""
    sortable: bool = True


@dataclass(frozen=True)
class Picture:
    """A picture that the page carries in itself.

    Args:
        address: its data, as a URI.
        title: what it is about.
        caption: what it shows, for those who do not see it, too.
        width, height: in pixels.
        link: relative address that it leads to; empty for none.
    """

    address: str
    title: str
    caption: str
    width: int
    height: int
    link: str = ""


@dataclass(frozen=True)
class Section:
    """A part of a page.

    Args:
        title: above it.
        sentences: paragraphs.
        facts: names and values.
        grids: tables.
        notes: paragraphs below the tables.
        pictures: from the top.
        small: whether the pictures stand side by side.
        text: preformatted text, which is folded.
    """

    title: str
    sentences: Sequence[str] = ()
    facts: Mapping[str, str | Entry] = field(default_factory=dict)
    grids: Sequence[Grid] = ()
    notes: Sequence[str] = ()
    pictures: Sequence[Picture] = ()
    small: bool = False
    text: str = ""

    @property
    def anchor(self) -> str:
        """The name by which the page's list of sections leads here."""
        return "-".join(self.title.lower().split())

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing in it."""
        return not (self.sentences or self.facts or self.grids or self.notes or self.pictures or self.text)


@dataclass(frozen=True)
class Page:
    """A page.

    Args:
        title: of the page.
        state: of the run that it is about; empty where it is about several.
        summary: what it is about, in a sentence or two.
        warnings: what must be known before anything is believed.
        sections: from the top; empty ones are left out.
        made: when and by what.
    """

    title: str
    summary: Sequence[str]
    sections: Sequence[Section]
    state: str = ""
    warnings: Sequence[str] = ()
    made: str = ""


def grid_of_text(table: TextTable, title: str = "") -> Grid:
    """A table of text, without the columns that have no entry."""
    kept = table.kept
    rows = [[Entry(str(row[k])) for k in kept] for row in table.rows]
    return Grid([table.columns[k] for k in kept], rows, title or table.title)


def grids_of_results(table: ResultTable) -> list[Grid]:
    """A table for each metric, and one of what is over environments. Rows that belong to others cannot be sorted."""
    grids = []
    for section in table.sections:
        over = [line for line in section.lines if line.kind in ("aggregate", "interval")]
        of_cells = [line for line in section.lines if line not in over]
        for lines, first, title in (
            (of_cells, "environment", section.metric.label),
            (over, "over environments", f"{section.metric.label}, over environments"),
        ):
            columns = [Column(first), *(Column(column, right=True) for column in table.columns)]
            alone = all(line.kind == "ours" for line in lines)
            if lines:
                rows = [_row(line, section, table.columns) for line in lines]
                grids.append(Grid(columns, rows, title, sortable=alone))
    return grids


def _row(line: Line, section: ResultSection, columns: Sequence[str]) -> list[Entry]:
    marked, below = marks(line, section), line.kind in ("published", "interval")
    entries = [
        Entry(entry_text(line.entries[column], section.metric.digits, line.kind), "", marked.get(column, ""))
        if column in line.entries
        else Entry("-")
        for column in columns
    ]
    return [Entry(line.label, "", "below" if below else ""), *entries]


def notes_of_results(table: ResultTable) -> list[str]:
    """The caption of a table, as one paragraph."""
    return [" ".join((*table.caption, LEGEND))]
