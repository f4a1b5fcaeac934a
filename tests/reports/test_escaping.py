"""Names from anywhere are text in LaTeX, Markdown and spreadsheets, and nothing else."""

import pytest

from mavrl.reports.escaping import csv_text, latex_text, markdown_text


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        (r"\input{x}", r"\textbackslash{}input\{x\}"),
        ("a_b 50 % & #1 $x$", r"a\_b 50 \% \& \#1 \$x\$"),
        ("x^2 ~ <y>|z", r"x\textasciicircum{}2 \textasciitilde{} \textless{}y\textgreater{}\textbar{}z"),
        ("two\nlines", "two lines"),
        ("1.0 ± 0.2†", r"1.0 $\pm$ 0.2$^{\dagger}$"),
    ],
)
def test_latex(text: str, escaped: str) -> None:
    assert latex_text(text) == escaped


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("a|b", r"a\|b"),
        ("<script>x</script> & y", "&lt;script&gt;x&lt;/script&gt; &amp; y"),
        ("[x](y) *b* `c`", r"\[x\](y) \*b\* \`c\`"),
        ("grid_trap", "grid_trap"),
        ("_x_", r"\_x\_"),
        ("two\r\nlines", "two lines"),
    ],
)
def test_markdown(text: str, escaped: str) -> None:
    assert markdown_text(text) == escaped


@pytest.mark.parametrize("text", ["=1+1", "+cmd", "-x", "@SUM(A1)", "\t=1", " =1", "+feedback@x=y"])
def test_formulas_are_text_in_csv(text: str) -> None:
    assert csv_text(text) == f"'{text}"


@pytest.mark.parametrize("text", ["grid_trap", "-1.5e-3", "+2", "a=b", "", "1-2"])
def test_what_is_no_formula_stays(text: str) -> None:
    assert csv_text(text) == text
