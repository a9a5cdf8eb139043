#!/usr/bin/env bash
# OpenSkill predicts 86 % wins for a model that wins 75 %: ratings are learned on a logistic scale and read on a normal one.
# version:  openskill 6.2.0
# expected: after 2,000 games between two models, the predicted share of wins is that of the next 10,000 games
# seen:     0.864 instead of 0.754 by the default Plackett-Luce and both Bradley-Terry models, 0.907 by
#           Thurstone-Mosteller in parts; only Thurstone-Mosteller in full predicts 0.753
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check openskill==6.2.0
"$work/venv/bin/python" - <<'PYTHON'
import random
from statistics import mean

from openskill import models


def predicted(name):
    model, rng = getattr(models, name)(), random.Random(0)
    large, small = [model.rating()], [model.rating()]
    said, won = [], []
    for _ in range(12_000):
        said.append(model.predict_win([large, small])[0])
        won.append(rng.random() < 0.75)
        large, small = model.rate([large, small], ranks=[1, 2] if won[-1] else [2, 1])
    print(f"{name}: predicted {mean(said[2000:]):.3f}, won {mean(won[2000:]):.3f}")
    return mean(said[2000:]) - mean(won[2000:])


for name in ("PlackettLuce", "BradleyTerryFull", "BradleyTerryPart"):
    assert 0.10 < predicted(name) < 0.12
assert 0.14 < predicted("ThurstoneMostellerPart") < 0.17
assert abs(predicted("ThurstoneMostellerFull")) < 0.01
PYTHON
