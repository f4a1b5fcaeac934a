"""Mathematics of the site as MathML, which browsers show by themselves: no page loads a script for it.

A hook of MkDocs. Arithmatex marks what stands between dollars; this turns the marked LaTeX into MathML.
"""

import re
import unicodedata
from html import unescape
from typing import Any

from latex2mathml.converter import convert

_MARKED = re.compile(r'<(span|div) class="arithmatex">\\([(\[])(.*?)\\[)\]]</\1>', re.DOTALL)
_ALPHABET = re.compile(r'<mi mathvariant="(script|double-struck)">([A-Z])</mi>')
_SIMILAR = "<mi>&#x0007E;</mi>"  # the converter's \sim: an ASCII tilde, and no operator


def mathml(latex: str, block: bool) -> str:
    """One formula.

    Args:
        latex: without the dollars.
        block: on lines of its own.
    """
    text = convert(latex.strip(), display="block" if block else "inline")
    return _ALPHABET.sub(_letter, text).replace(_SIMILAR, "<mo>&#x0223C;</mo>")


def with_mathml(html: str) -> str:
    """A page in which each marked formula is MathML."""
    return _MARKED.sub(lambda found: mathml(unescape(found[3]), block=found[2] == "["), html)


def on_page_content(html: str, **_: Any) -> str:
    """Called by MkDocs with each page."""
    return with_mathml(html)


def _letter(found: re.Match[str]) -> str:
    """The character itself: of `mathvariant` browsers read no more than "normal"."""
    name = f"{found[1].upper()} CAPITAL {found[2]}"
    try:
        return f"<mi>{unicodedata.lookup(f'MATHEMATICAL {name}')}</mi>"
    except KeyError:  # those that Unicode had before the alphabets, such as the real numbers
        return f"<mi>{unicodedata.lookup(name)}</mi>"
