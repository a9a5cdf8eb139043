#!/usr/bin/env bash
# A mixed number is a product for SymPy's LaTeX parser, also where two digits and a fraction can mean nothing else.
# version:  sympy 1.14.0, antlr4-python3-runtime 4.11.1
# expected: 2\frac{1}{2} is 5/2, or is refused as ambiguous
# seen:     it is 1, and 4\frac13 is 4/3, in strict mode as well
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check sympy==1.14.0 antlr4-python3-runtime==4.11.1
"$work/venv/bin/python" - <<'PYTHON'
from sympy import Rational, simplify
from sympy.parsing.latex import parse_latex

for latex, product, meant in ((r"2\frac{1}{2}", 1, Rational(5, 2)), (r"4\frac13", Rational(4, 3), Rational(13, 3))):
    value = simplify(parse_latex(latex, strict=True))
    print(f"{latex} -> {value}, not {meant}")
    assert value == product != meant
PYTHON
