#!/usr/bin/env bash
# One model that never lost makes all models equal in evalica's Bradley-Terry and Newman, without a warning.
# version:  evalica 0.4.2
# expected: its strength has no finite estimate: a very high score, a warning or an error, and the others as they are
# seen:     all three scores are 1e-06; one lost game of the same model gives 4.95, 0.55 and 0.37
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check evalica==0.4.2
"$work/venv/bin/python" - <<'PYTHON'
import warnings

import evalica
from evalica import Winner

warnings.simplefilter("error")
left, right = ["a"] * 10 + ["b"] * 10, ["b"] * 10 + ["c"] * 10
b_against_c = [Winner.X] * 6 + [Winner.Y] * 4
undefeated = [Winner.X] * 10 + b_against_c
one_loss = [Winner.X] * 9 + [Winner.Y] + b_against_c
for method in (evalica.bradley_terry, evalica.newman):
    scores = method(left, right, undefeated).scores
    print(f"{method.__name__}, a undefeated: {scores.to_dict()}; one loss: {method(left, right, one_loss).scores.to_dict()}")
    assert (scores == 1e-6).all()
    assert method(left, right, one_loss).scores["a"] > 4
PYTHON
