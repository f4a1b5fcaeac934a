"""Formulas become MathML without a trace of LaTeX."""

from typing import Any

import pytest

pytest.importorskip("latex2mathml")


@pytest.fixture(scope="module")
def mathml(script: Any) -> Any:
    return script("mathml")


def test_marked_formulas_are_converted_and_nothing_else(mathml: Any) -> None:
    page = r'<p>\(a\) <span class="arithmatex">\(x &lt; y\)</span></p><div class="arithmatex">\[\frac12\]</div>'
    html = mathml.with_mathml(page)
    assert html.startswith(r"<p>\(a\) <math")
    assert "<mo>&lt;</mo>" in html or "<mo>&#x0003C;</mo>" in html
    assert 'display="inline"' in html
    assert 'display="block"><mrow><mfrac><mn>1</mn><mn>2</mn></mfrac></mrow></math>' in html


@pytest.mark.parametrize(
    ("latex", "letter"),
    [
        (r"\mathcal N", "\N{MATHEMATICAL SCRIPT CAPITAL N}"),
        (r"\mathcal L", "\N{SCRIPT CAPITAL L}"),
        (r"\mathbb E", "\N{MATHEMATICAL DOUBLE-STRUCK CAPITAL E}"),
        (r"\mathbb R", "\N{DOUBLE-STRUCK CAPITAL R}"),
    ],
)
def test_letters_of_other_alphabets_are_characters(mathml: Any, latex: str, letter: str) -> None:
    assert f"<mi>{letter}</mi>" in mathml.mathml(latex, block=False)


def test_distributed_as_is_an_operator(mathml: Any) -> None:
    assert "<mo>&#x0223C;</mo>" in mathml.mathml(r"x \sim y", block=False)
