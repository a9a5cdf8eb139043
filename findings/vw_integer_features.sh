#!/usr/bin/env bash
# Two features of Vowpal Wabbit whose names are integers share a weight if the integers differ by 262,144.
# version:  vowpalwabbit 9.11.9 (18 bits of weights)
# expected: problem 7 and problem 262151 are as distinct as problem_7 and problem_262151, up to a rare hash collision
# seen:     names of digits are used as addresses: the two are one feature, always; --hash all tells them apart
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check vowpalwabbit==9.11.9
"$work/venv/bin/python" - <<'PYTHON'
import vowpalwabbit


def learned(names, options=""):
    workspace = vowpalwabbit.Workspace(f"--quiet --noconstant {options}")
    for _ in range(200):
        for label, name in enumerate(names):
            workspace.learn(f"{label} | {name}")
    return [round(workspace.predict(f"| {name}"), 3) for name in names]


integers = learned(["7", "262151"])
words = learned(["problem_7", "problem_262151"])
hashed = learned(["7", "262151"], "--hash all")
print(f"labels 0 and 1 learned: integers {integers}, words {words}, integers with --hash all {hashed}")
assert integers[0] == integers[1]
assert words == hashed == [0.0, 1.0]
PYTHON
