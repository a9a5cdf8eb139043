#!/usr/bin/env bash
# MAPIE finds no threshold that keeps a precision, if one threshold of its grid lies above all scores.
# version:  mapie 1.6.0
# expected: the default, Holm, accepts at least what Bonferroni accepts; a threshold that no item reaches is left out
# seen:     Holm accepts none and warns that the risk cannot be controlled, Bonferroni accepts 42 of 100; such thresholds
#           have the p-value NaN, which Holm tests first; one item more, at 0.995, and Holm accepts 42 too
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check mapie==1.6.0 numpy==2.4.6 scikit-learn==1.9.1 scipy==1.17.1
"$work/venv/bin/python" - <<'PYTHON'
import warnings

import numpy as np
from mapie.risk_control import BinaryClassificationController

rng = np.random.default_rng(0)
score = rng.uniform(0.1, 0.9, 2000)
right = (rng.random(2000) < np.where(score > 0.5, 0.98, 0.3)).astype(int)


def accepted(score, right, method):
    controller = BinaryClassificationController(
        lambda scores: np.column_stack([1 - scores[:, 0], scores[:, 0]]), "precision", 0.9, fwer_method=method
    )
    controller.calibrate(score[:, None], right)
    return len(controller.valid_predict_params), int(np.isnan(controller.p_values).sum())


warnings.simplefilter("ignore", UserWarning)
holm, unknown = accepted(score, right, "bonferroni_holm")
bonferroni, _ = accepted(score, right, "bonferroni")
with_one_more, _ = accepted(np.append(score, 0.995), np.append(right, 1), "bonferroni_holm")
print(f"thresholds accepted: {holm} by Holm, {bonferroni} by Bonferroni; p-values that are NaN: {unknown} of 100")
print(f"with one item more, scored 0.995: {with_one_more} by Holm")
assert holm == 0
assert unknown == 10
assert with_one_more >= bonferroni > 40
PYTHON
