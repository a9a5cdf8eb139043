"""What calculators of the site compute is what the package computes."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from gym_stepwise_routing.costs.models import Caching, Price
from gym_stepwise_routing.costs.stepwise_bill import stepwise_bill

NODE = shutil.which("node")
STATIC = Path(__file__).resolve().parents[2] / "docs" / "_static"
CASES = [
    {"input": 2.5, "cachedInput": 1.25, "output": 10, "block": 128, "smallest": 1024}
    | {"prompt": prompt, "shared": shared, "steps": steps, "stepTokens": tokens}
    for prompt, shared, steps, tokens in [(500, 440, 4, 21), (1000, 0, 9, 40), (1100, 300, 5, 60), (3, 3, 1, 1)]
] + [
    {"input": 1, "cachedInput": 0, "output": 0, "block": 1, "smallest": 0}
    | {"prompt": 77, "shared": 5, "steps": 6, "stepTokens": 13},
    {"input": 0, "cachedInput": 0, "output": 0, "block": 5, "smallest": 9}
    | {"prompt": 7, "shared": 0, "steps": 2, "stepTokens": 1},
]


def run(calls):
    script = (STATIC / "stepwise_bill.js").read_text(encoding="utf-8")
    program = f"globalThis.document = {{ addEventListener() {{}} }};\n{script}\nconsole.log(JSON.stringify({calls}));"
    told = subprocess.run([NODE, "-e", program], capture_output=True, text=True, check=True, timeout=60)
    return json.loads(told.stdout)


@pytest.mark.skipif(NODE is None, reason="needs node")
def test_the_bill_of_the_page_is_that_of_the_package():
    for case, told in zip(CASES, run(f"{json.dumps(CASES)}.map(stepwiseBill)"), strict=True):
        price = Price(case["input"], case["cachedInput"], case["output"], date="2026-01-01", source="made up")
        caching = Caching(block=case["block"], smallest=case["smallest"])
        bill = stepwise_bill(
            price,
            caching,
            prompt_tokens=case["prompt"],
            steps=case["steps"],
            step_tokens=case["stepTokens"],
            shared_tokens=case["shared"],
        )
        assert told == pytest.approx({"whole": bill.whole, "ideal": bill.ideal, "stepwise": bill.stepwise}, rel=1e-12)


@pytest.mark.skipif(NODE is None, reason="needs node")
def test_what_cannot_be_is_told():
    wrong = [{"input": -1}, {"prompt": 0}, {"steps": 1.5}, {"smallest": None}, {"shared": 501}, {"steps": 1001}]
    cases = [CASES[0], *(CASES[0] | one for one in wrong)]
    told = run(f"{json.dumps(cases)}.map(billFault)")
    assert told[0] == ""
    assert all(text.endswith(".") for text in told[1:])
