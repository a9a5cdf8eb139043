#!/usr/bin/env bash
# Graders turn LaTeX answers into text by pylatexenc; fractions come out as other numbers.
# version:  pylatexenc 2.11
# expected: a fraction keeps its parts together: (12)/(3+4); \dfrac is \frac
# seen:     \frac{12}{3+4} is "12/3+4", which is 8; 3\frac{1}{2} is "31/2"; \dfrac{3}{4} is "34"; the 3 of \sqrt[3]{8} is gone
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check pylatexenc==2.11 sympy==1.14.0
"$work/venv/bin/python" - <<'PYTHON'
from pylatexenc.latex2text import LatexNodes2Text
from sympy import Rational, sympify

text = {
    latex: LatexNodes2Text().latex_to_text(latex)
    for latex in (r"\frac{12}{3+4}", r"3\frac{1}{2}", r"\dfrac{3}{4}", r"2^{1+1}", r"\sqrt[3]{8}")
}
for latex, plain in text.items():
    print(f"{latex} -> {plain!r}")
assert sympify(text[r"\frac{12}{3+4}"]) == 8 != Rational(12, 7)
assert sympify(text[r"3\frac{1}{2}"]) == Rational(31, 2)
assert text[r"\dfrac{3}{4}"] == "34"
assert sympify(text["2^{1+1}"].replace("^", "**")) == 3
assert "3" not in text[r"\sqrt[3]{8}"]
PYTHON
