#!/usr/bin/env bash
# evalica's eigenvector ranking puts the weakest model first.
# version:  evalica 0.4.2
# expected: a beats b, b beats c and a beats c in 8 to 9 of 10 games: every method ranks a, b, c
# seen:     Bradley-Terry, Newman, Elo, PageRank, wins and win rates do; eigen gives c the highest score and a the lowest
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check evalica==0.4.2
"$work/venv/bin/python" - <<'PYTHON'
import evalica
from evalica import Winner

left, right, winners = [], [], []
for first, second, won in (("a", "b", 8), ("b", "c", 8), ("a", "c", 9)):
    left += [first] * 10
    right += [second] * 10
    winners += [Winner.X] * won + [Winner.Y] * (10 - won)
for name in ("bradley_terry", "newman", "elo", "pagerank", "counting", "average_win_rate", "eigen"):
    scores = getattr(evalica, name)(left, right, winners).scores.sort_values(ascending=False)
    print(f"{name}: {scores.round(3).to_dict()}")
    assert "".join(scores.index) == ("cba" if name == "eigen" else "abc")
PYTHON
