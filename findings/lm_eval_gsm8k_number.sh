#!/usr/bin/env bash
# The GSM8K task of lm-eval refuses right answers for three dots, a price in cents or a sign behind the number.
# version:  lm-eval 0.4.13 (task gsm8k 3.0: its own filters, and its own exact match)
# expected: flexible-extract finds the last number, and 18.00 equals 18
# seen:     "..." and "$." count as numbers, the last of which is taken; 18.00 and 18 are compared as letters
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check --no-deps lm-eval==0.4.13 sacrebleu==2.6.0 numpy==2.4.6 \
  tabulate==0.10.0 PyYAML==6.0.4 colorama==0.4.6 portalocker==4.4.2 lxml==6.1.3 regex==2026.11.19
"$work/venv/bin/python" - <<'PYTHON'
from pathlib import Path

import lm_eval
import yaml
from lm_eval.api.metrics import exact_match_fn
from lm_eval.filters.extraction import RegexFilter

task = yaml.safe_load((Path(lm_eval.__file__).parent / "tasks/gsm8k/gsm8k.yaml").read_text())
options = {key: value for key, value in task["metric_list"][0].items() if key in ("ignore_case", "regexes_to_ignore")}
filters = {
    entry["name"]: RegexFilter(**{key: value for key, value in entry["filter"][0].items() if key != "function"})
    for entry in task["filter_list"]
}


def graded(name, text):
    taken = filters[name].apply([[text]], [{}])[0][0]
    right = exact_match_fn(predictions=[taken], references=["#### 18"], **options)["exact_match"]
    print(f"{name}: {text!r} -> {taken!r}, {'right' if right else 'wrong'}")
    return taken, bool(right)


assert graded("flexible-extract", "So she makes 18 dollars.") == ("18", True)
assert graded("flexible-extract", "So she makes 18 dollars ...") == ("...", False)
assert graded("flexible-extract", "So she makes 18 $.") == ("$.", False)
assert graded("flexible-extract", "So she makes $18.00.") == ("$18.00.", False)
assert graded("strict-match", "#### 18.00") == ("18.00", False)
PYTHON
