#!/usr/bin/env bash
# Two seeds of a Reasoning Gym data set are not two samples: item i of seed s is item 0 of seed s + i.
# version:  reasoning-gym 0.1.25
# expected: 1,000 training items of seed 42 and 100 test items of seed 43 share next to nothing
# seen:     of three generators all 100 test items are training items; gsm_symbolic alone mixes the seed before it is used
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check reasoning-gym==0.1.25
"$work/venv/bin/python" - <<'PYTHON'
import reasoning_gym

shared = {}
for name in ("chain_sum", "gcd", "leg_counting", "gsm_symbolic"):
    train = reasoning_gym.create_dataset(name, size=1000, seed=42)
    test = reasoning_gym.create_dataset(name, size=100, seed=43)
    seen = {item["question"] for item in train}
    shared[name] = sum(item["question"] in seen for item in test)
    print(f"{name}: {shared[name]} of 100 test questions stand in the training set")
assert [shared[name] for name in ("chain_sum", "gcd", "leg_counting")] == [100] * 3
assert shared["gsm_symbolic"] < 10
PYTHON
