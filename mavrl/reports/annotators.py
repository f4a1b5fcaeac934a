"""Annotators as tables: what each of them said, how far they agree, and what was learned of how each answers."""

from collections.abc import Mapping, Sequence
from typing import Any

from mavrl.reports.plain_table import Column, TextTable, print_table
from mavrl.reports.words import counts_in_words


def print_annotators(annotators: Sequence[Mapping[str, Any]]) -> None:
    """Print what `annotator_tables` makes, with an empty line between two tables."""
    for number, table in enumerate(annotator_tables(annotators)):
        if number:
            print()
        print_table(table.columns, table.rows)


def annotator_tables(annotators: Sequence[Mapping[str, Any]]) -> list[TextTable]:
    """A row for each annotator: their labels, and in a table for each kind what was learned, where there is.

    Args:
        annotators: as metrics.json has them.
    """
    names = [each["name"] or _UNNAMED for each in annotators]
    said = [[counts_in_words(each["labels"]), *(_share(each.get(whom, {})) for whom in _WHOM)] for each in annotators]
    tables = [TextTable(_COLUMNS, [[who, *row] for who, row in zip(names, said, strict=True)])]
    for kind in dict.fromkeys(kind for each in annotators for kind in each.get("learned", {})):
        learned = [each["learned"].get(kind, {}) for each in annotators]
        numbers: list[str] = list(dict.fromkeys(name for found in learned for name in found))
        rows = [[who, *map(_number, map(found.get, numbers))] for who, found in zip(names, learned, strict=True)]
        titles = [Column(_WORDS.get(name, name), right=True) for name in numbers]
        tables.append(TextTable([Column(f"{kind}s by"), *titles], [row for row in rows if any(row[1:])]))
    return tables


_COLUMNS = [
    Column("annotator"),
    Column("labels"),
    Column("agrees with others", right=True),
    Column("with own answers", right=True),
]
_UNNAMED = "(unnamed)"
_WHOM = ("others", "again")  # whose answers an annotator's are compared with
_WORDS = {"reliability_upright": "right way round"}


def _share(counts: Mapping[str, int]) -> str:
    """Such as "12 of 15"; empty where nothing can be compared."""
    return f"{counts['agreed']} of {counts['compared']}" if counts.get("compared") else ""


def _number(value: Any) -> str:
    """A number, with the ends of its interval where it has one."""
    if value is None:
        return ""
    if isinstance(value, Mapping):
        return f"{value['median']:.2g} ({value['low']:.2g} to {value['high']:.2g})"
    return f"{value:.2g}"
