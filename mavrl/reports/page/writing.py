"""A page as HTML: one file with its style, its script and its pictures, which may load nothing else."""

import base64
import hashlib
from importlib.resources import files

from mavrl.reports.page.content import Page
from mavrl.reports.templating import rendered


def page_html(page: Page) -> str:
    """The HTML of a page.

    Its policy allows this style and this script by their checksums, pictures in data, and nothing else.
    """
    folder = files("mavrl.reports") / "templates"
    style, script = ((folder / name).read_text(encoding="utf-8") for name in ("page.css", "page.js"))
    return rendered(
        "page.html", page=page, style=style, script=script, style_hash=_hash(style), script_hash=_hash(script)
    )


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
