#!/usr/bin/env bash
# arch's BCa interval of an accuracy is shifted, even where half of the answers are right: ties count as not below.
# version:  arch 8.0.0, against scipy 1.17.1
# expected: ten right of twenty give an interval that is symmetric about 0.5, as SciPy's BCa and the percentile method do
# seen:     0.25 to 0.65 (bca and bc), 0.30 to 0.70 from both others; swapping right and wrong does not mirror it
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check arch==8.0.0 numpy==2.4.6 scipy==1.17.1
"$work/venv/bin/python" - <<'PYTHON'
import numpy as np
from arch.bootstrap import IIDBootstrap
from scipy.stats import bootstrap

right = np.repeat([1.0, 0.0], 10)
found = {}
for method in ("percentile", "bc", "bca"):
    found[method] = IIDBootstrap(right, seed=1).conf_int(np.mean, 20_000, method=method).ravel().tolist()
    print(f"arch {method}: {found[method]}")
errors = IIDBootstrap(1 - right, seed=1).conf_int(np.mean, 20_000, method="bca").ravel()
print(f"arch bca of the error rate: {errors.tolist()}")
scipys = list(bootstrap((right,), np.mean, n_resamples=20_000, method="BCa", rng=1).confidence_interval)
print(f"scipy BCa: {[float(end) for end in scipys]}")
assert np.allclose(found["percentile"], [0.3, 0.7])
assert np.allclose(scipys, [0.3, 0.7])
assert np.allclose(found["bca"], [0.25, 0.65])
assert np.allclose(errors, [0.25, 0.65])
PYTHON
