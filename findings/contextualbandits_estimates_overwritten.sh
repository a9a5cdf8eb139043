#!/usr/bin/env bash
# contextualbandits' doubly robust estimate writes into the estimates it is given: the same call gives more each time.
# version:  contextualbandits 0.3.30, which is built from source: it needs a C++ compiler, and half a minute of a processor
# expected: 0.75, as by hand: 0.6 + (1 + 1 + 0 + 1 - 4 * 0.6) / 0.5 / 8; the same again, and the array as it was
# seen:     0.75, 0.9, 1.05 for rewards of 0 and 1: the corrections stay in the first column of the caller's array
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check numpy==2.4.6 pandas==3.1.1 scikit-learn==1.9.1 scipy==1.17.1 \
  cython==3.3.1 setuptools==80.9.0 wheel==0.45.1
"$work/venv/bin/pip" install -q --disable-pip-version-check --no-build-isolation contextualbandits==0.3.30
"$work/venv/bin/python" - <<'PYTHON'
import numpy as np
from contextualbandits.evaluation import evaluateDoublyRobust

chosen = np.array([0, 1] * 4)
right = np.array([1.0, 0, 1, 1, 0, 0, 1, 1])
probability = np.full(8, 0.5)
always_small = np.zeros(8, dtype=int)
estimates = np.column_stack([np.full(8, 0.6), np.where(chosen == 0, 0.6, 0.4)])
before = estimates.copy()
questions = np.zeros((8, 1))
found = [
    float(evaluateDoublyRobust(always_small, questions, chosen, right, probability, estimates, handle_invalid=False))
    for _ in range(3)
]
print(f"share of right answers of the small model, three times the same call: {found}")
print(f"estimates of the first rows before {before[:2].tolist()}, after {estimates[:2].tolist()}")
assert np.allclose(found, [0.75, 0.9, 1.05])
assert not np.allclose(before[:, 0], estimates[:, 0])
assert np.allclose(before[:, 1], estimates[:, 1])
PYTHON
