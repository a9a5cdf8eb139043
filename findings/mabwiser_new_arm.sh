#!/usr/bin/env bash
# A model that no log has is worth exactly 0 to MABWiser: never tried on rewards, always chosen on costs.
# version:  mabwiser 2.7.4
# expected: UCB1 tries an arm without data first; a greedy policy prefers the best arm that was tried
# seen:     UCB1 gives the new arm 0, without a bonus, and plays a known one; with costs as negative rewards the greedy policy
#           plays the new arm
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check mabwiser==2.7.4
"$work/venv/bin/python" - <<'PYTHON'
from mabwiser.mab import MAB, LearningPolicy

log = ["small"] * 20 + ["large"] * 20
right = [0, 1] * 10 + [1] * 15 + [0] * 5
cost = [-0.1] * 20 + [-0.5] * 20


def fitted(policy, rewards):
    mab = MAB(arms=["small", "large", "new"], learning_policy=policy, seed=1)
    mab.fit(decisions=log, rewards=rewards)
    return mab


ucb = fitted(LearningPolicy.UCB1(alpha=1.25), right)
print("UCB1, rewards:", ucb.predict_expectations())
assert ucb.predict_expectations()["new"] == 0
for _ in range(1000):
    chosen = ucb.predict()
    assert chosen != "new"
    ucb.partial_fit([chosen], [1])
print("UCB1 after 1,000 further plays:", ucb.predict_expectations())
greedy = fitted(LearningPolicy.EpsilonGreedy(epsilon=0), cost)
print("greedy, costs:", greedy.predict_expectations(), "->", greedy.predict())
assert greedy.predict() == "new"
PYTHON
