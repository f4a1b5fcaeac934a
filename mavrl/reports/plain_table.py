"""Tables without lines, in the width that they need: a path or a number that is cut is of no use."""

from collections.abc import Sequence
from dataclasses import dataclass

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text


@dataclass(frozen=True)
class Column:
    """One column.

    Args:
        name: what stands above it.
        right: whether its entries are aligned at the right.
    """

    name: str
    right: bool = False


@dataclass(frozen=True)
class TextTable:
    """A table of text.

    Args:
        columns: names and alignments.
        rows: entries of each row; an empty text is none.
        title: what it is about; empty where that is said elsewhere.
    """

    columns: Sequence[Column]
    rows: Sequence[Sequence[str]]
    title: str = ""

    @property
    def kept(self) -> list[int]:
        """The numbers of the columns with any entry."""
        return [k for k in range(len(self.columns)) if any(row[k] for row in self.rows)]


def print_table(columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> None:
    """Print a table, its head in bold where the terminal can. Columns without any entry are left out.

    Args:
        columns: names and alignments.
        rows: entries of each row, of which there is one at least; an empty text is none.
    """
    kept = TextTable(columns, rows).kept
    head, *lines = _aligned([columns[k] for k in kept], [[row[k] for k in kept] for row in rows])
    Console(highlight=False, markup=False, soft_wrap=True).print(Text(head, "bold"))
    print(*lines, sep="\n")


def _aligned(columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> list[str]:
    """The lines of a table, its head first. rich takes seconds for thousands of rows."""
    entries = [[column.name for column in columns], *rows]
    widths = [max(cell_len(row[k]) for row in entries) for k in range(len(columns))]

    def padded(entry: str, column: Column, width: int) -> str:
        space = " " * (width - cell_len(entry))
        return space + entry if column.right else entry + space

    return ["  ".join(map(padded, row, columns, widths)).rstrip() for row in entries]
