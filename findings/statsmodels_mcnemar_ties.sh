#!/usr/bin/env bash
# McNemar's chi-squared with its default correction finds evidence in none: equal disagreement is not p = 1.
# version:  statsmodels 0.15.0
# expected: two routers that are right alone equally often have p = 1; two that always agree have p = 1 or no p
# seen:     1 against 1 gives p = 0.48, 5 against 5 p = 0.75; two routers with the very same verdicts give p = 0.0
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check statsmodels==0.15.0
"$work/venv/bin/python" - <<'PYTHON'
import warnings

from statsmodels.stats.contingency_tables import mcnemar

warnings.simplefilter("ignore")  # the division by zero in the last table
p = {}
for alone in (5, 1, 0):
    table = [[50, alone], [alone, 40]]
    p[alone] = float(mcnemar(table, exact=False).pvalue)
    print(f"{alone} right alone on either side: p = {p[alone]:.3f}, exact {float(mcnemar(table, exact=True).pvalue):.3f}")
    assert mcnemar(table, exact=True).pvalue == 1
assert abs(p[5] - 0.752) < 0.001
assert abs(p[1] - 0.480) < 0.001
assert p[0] == 0
PYTHON
