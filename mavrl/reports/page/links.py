"""Links from a page to files beside it."""

import os
from pathlib import Path
from urllib.parse import quote

from mavrl.reports.page.content import Entry


def link_to(path: Path, base: Path) -> str:
    """The relative address of a file or folder.

    Args:
        path: that is linked.
        base: folder of the page.
    """
    return "./" + quote(os.path.relpath(path.absolute(), base.absolute()).replace(os.sep, "/"))


def linked(path: Path, base: Path, text: str = "") -> Entry:
    """An entry that leads to a file or folder; its own relative path where no text is given."""
    return Entry(text or os.path.relpath(path.absolute(), base.absolute()), link_to(path, base))
