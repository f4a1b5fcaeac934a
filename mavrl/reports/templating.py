"""The templates of this package, filled in. What comes from files is text there, never markup."""

from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from mavrl.reports.escaping import markdown_text


def rendered(template: str, **content: Any) -> str:
    """A template of `mavrl/reports/templates/` with content.

    In one whose name ends in `.html`, all content is escaped; others escape with the filter `markdown`.
    """
    return _environment().get_template(template).render(**content)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("mavrl.reports"),
        autoescape=lambda name: name is not None and name.endswith(".html"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["markdown"] = lambda value: markdown_text(str(value))
    return environment
