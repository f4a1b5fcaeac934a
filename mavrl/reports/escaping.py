"""Text in the syntax of others: names, paths and errors come from anywhere, and must not mean anything there."""

import re

_LATEX = {char: rf"\{char}" for char in "_%&#${}"} | {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "±": r"$\pm$",
    "†": r"$^{\dagger}$",
    "≤": r"$\le$",
}
_MARKDOWN = re.compile(r"[\\`*\[\]~|]|(?<!\w)_|_(?!\w)")  # an underscore inside a word is none of its signs
_HTML = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}  # which Markdown passes on
_FORMULA = re.compile(r"\s*[=+\-@]")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.IGNORECASE)


def latex_text(text: str) -> str:
    """Text that LaTeX prints as it stands, on one line."""
    return "".join(_LATEX.get(char, char) for char in _one_line(text))


def markdown_text(text: str) -> str:
    """Text that Markdown shows as it stands, in a cell of a table, too."""
    return _MARKDOWN.sub(r"\\\g<0>", "".join(_HTML.get(char, char) for char in _one_line(text)))


def csv_text(text: str) -> str:
    """Text that no spreadsheet takes for a formula: an apostrophe goes before what looks like one."""
    return f"'{text}" if _FORMULA.match(text) and not _NUMBER.fullmatch(text) else text


def _one_line(text: str) -> str:
    return re.sub(r"\s+", " ", text)
