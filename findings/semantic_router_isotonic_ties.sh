#!/usr/bin/env bash
# The isotonic calibration of semantic-router depends on the order of the rows where scores are equal.
# version:  semantic-router 1.1.1
# expected: four rows at score 0.5, two of them right, give 0.5 there, in any order
# seen:     0.875 if the wrong ones come first, 0.5 if the right ones do
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check semantic-router==1.1.1 numpy==2.4.6
"$work/venv/bin/python" - <<'PYTHON'
import numpy as np
from semantic_router.calibration import Calibrator

score = np.array([0.2, 0.5, 0.5, 0.5, 0.5, 0.8])
wrong_first = np.array([0, 0, 0, 1, 1, 1])
right_first = np.array([0, 1, 1, 0, 0, 1])
found = [float(Calibrator.fit(score, right, "isotonic")(0.5)) for right in (wrong_first, right_first)]
print(f"calibrated probability at 0.5: {found[0]} with the wrong rows first, {found[1]} with the right rows first")
assert found == [0.875, 0.5]
PYTHON
