#!/usr/bin/env bash
# SymPy's LaTeX parser stops where it no longer understands, and gives what it has without a word.
# version:  sympy 1.14.0, antlr4-python3-runtime 4.11.1
# expected: an answer that is not one expression is refused
# seen:     "3, 4" is 3, "12,34" is 12, "1.2.3" is 1.2, "x \in [1,2]" is in*x; only strict=True refuses them
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check sympy==1.14.0 antlr4-python3-runtime==4.11.1
"$work/venv/bin/python" - <<'PYTHON'
from sympy.parsing.latex import LaTeXParsingError, parse_latex

seen = {latex: str(parse_latex(latex)) for latex in ("3, 4", "12,34", "1.2.3", r"x \in [1,2]")}
for latex, value in seen.items():
    print(f"{latex} -> {value}")
    try:
        strict = parse_latex(latex, strict=True)
    except LaTeXParsingError:
        print("   strict=True refuses it")
    else:
        raise SystemExit(f"strict=True took {latex} as {strict}")
assert list(seen.values())[:2] == ["3", "12"]
assert seen["1.2.3"].startswith("1.2000")
assert parse_latex(r"x \in [1,2]") == parse_latex(r"x \in [5,9]")
PYTHON
