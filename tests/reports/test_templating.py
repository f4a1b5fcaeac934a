"""Templates: HTML is escaped by itself, Markdown by a filter, and what is missing is an error."""

import jinja2
import pytest

from mavrl.reports import templating


def test_html_is_escaped_and_markdown_by_its_filter(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = {"a.html": "{{ x }}", "a.md": "{{ x }} {{ x | markdown }}"}
    environment = templating._environment().overlay(loader=jinja2.DictLoader(texts))
    monkeypatch.setattr(templating, "_environment", lambda: environment)
    assert templating.rendered("a.html", x="<a&") == "&lt;a&amp;"
    assert templating.rendered("a.md", x="*<a") == r"*<a \*&lt;a"
    with pytest.raises(jinja2.UndefinedError):
        templating.rendered("a.html")
