"""Tables without lines, in the width that they need: a path or a number that is cut is of no use."""

from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.text import Text
from tabulate import tabulate


@dataclass(frozen=True)
class Column:
    """One column.

    Args:
        name: what stands above it.
        right: whether its entries are aligned at the right.
    """

    name: str
    right: bool = False


def print_table(columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> None:
    """Print a table, its head in bold where the terminal can. Columns without any entry are left out.

    Args:
        columns: names and alignments.
        rows: entries of each row, of which there is one at least; an empty text is none.
    """
    kept = [k for k in range(len(columns)) if any(row[k] for row in rows)]
    text = tabulate(
        [[row[k] for k in kept] for row in rows],
        [columns[k].name for k in kept],
        tablefmt="plain",
        colalign=["right" if columns[k].right else "left" for k in kept],
        disable_numparse=True,
    )
    head, _, body = text.partition("\n")
    Console(highlight=False, markup=False, soft_wrap=True).print(Text(head, "bold"))
    if body:
        print(body)
