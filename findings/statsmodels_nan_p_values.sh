#!/usr/bin/env bash
# One undefined p-value (two routers that never differ) changes what is said of all others.
# version:  statsmodels 0.15.0
# expected: an error, or NaN for that comparison alone
# seen:     Hommel rejects nothing, not even p = 1e-6; Benjamini-Hochberg rejects two but gives NaN for every corrected p;
#           Holm counts the undefined one as a comparison
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check statsmodels==0.15.0
"$work/venv/bin/python" - <<'PYTHON'
import numpy as np
from statsmodels.stats.multitest import multipletests

p = [1e-6, 0.01, np.nan, 0.04]
found = {}
for method in ("hommel", "fdr_bh", "holm"):
    rejected, corrected, *_ = multipletests(p, method=method)
    without = multipletests(np.array(p)[[0, 1, 3]], method=method)[0]
    found[method] = rejected.tolist(), np.isnan(corrected).tolist()
    print(f"{method}: rejected {rejected.tolist()}, corrected {corrected.tolist()}; without it {without.tolist()}")
assert found["hommel"] == ([False] * 4, [True] * 4)
assert found["fdr_bh"] == ([True, True, False, False], [True] * 4)
assert found["holm"][1] == [False, False, True, False]
PYTHON
