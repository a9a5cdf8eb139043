"""``evaluate --log``: what another router would have done, on logs in which it is known."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from itertools import product
from pathlib import Path

import pytest
from logged import QUESTIONS, Lines, ask, events, put_lines, write_log
from running_server import BANK, MODELS
from typer.testing import CliRunner

from gym_stepwise_routing.cli.app import app
from gym_stepwise_routing.serving.off_policy import off_policy

SHARE = 0.5
PATHS = tuple(product((0, 1), repeat=2))


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Lines:
    """One explored and judged answer of a real server whose router is always-smallest."""

    def use(server, endpoints):
        ask(server, QUESTIONS[0], right=True)

    folder = tmp_path_factory.mktemp("served")
    return write_log(folder, use, router="always-smallest", exploration={"share": SHARE, "seed": 3})


@pytest.fixture
def log(served: Lines, tmp_path: Path) -> Path:
    """Each of four ways of two steps as often as its probability says; right where the last step is the larger's.

    A step of the larger model adds 0.5 to the cost.
    """
    (server, request, feedback) = served
    lines = [server]
    for path in PATHS:
        for copy_number in range(3 ** path.count(0)):  # 3/4 each for the smaller, 1/4 for the larger: of 16 requests
            id = f"{path}-{copy_number}"
            step = request["steps"][0] | {"probabilities": [1 - SHARE / 2, SHARE / 2]}
            steps = [step | {"model": MODELS[k]} for k in path]
            cost = {"normalised": 0.1 + sum(path) * 0.5, "raw": 1.0}
            lines += [request | {"id": id, "steps": steps, "cost": cost}]
            lines += [feedback | {"id": id, "right": bool(path[-1])}]
    return put_lines(tmp_path / "log.jsonl", lines)


@pytest.mark.parametrize(
    ("router", "accuracy", "cost", "effective"),
    [("always-smallest", 0.0, 0.1, 9), ("always-largest", 1.0, 1.1, 1)],
)
def test_a_router_gets_what_it_would_have_had(log, router, accuracy, cost, effective):
    found = off_policy(log, router, bank=BANK, resamples=100)
    assert found.n == 16
    assert (found.accuracy.estimate, found.cost.estimate) == pytest.approx((accuracy, cost))
    assert found.effective == pytest.approx(effective)
    assert found.served_accuracy.estimate == pytest.approx(0.25)
    assert found.served_cost.estimate == pytest.approx(0.1 + 2 * 0.25 * 0.5)


def test_requests_that_say_nothing_are_counted_by_reason(log, served):
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    plain = copy.deepcopy(events(served)[0]) | {"id": "plain"}
    for step in plain["steps"]:
        del step["probabilities"]
    more = [plain, events(served)[0] | {"id": "unjudged"}, events(served)[0] | {"outcome": "left", "id": "left"}]
    found = off_policy(put_lines(log, lines + more), "always-smallest", bank=BANK, resamples=100)
    assert found.n == 16
    assert found.left_out == {"not explored": 1, "without feedback": 1, "not answered (left)": 1}


def _other_cost_unit(lines: Lines) -> None:
    events(lines)[0]["cost_unit"] = "flops"


def _unexplored(lines: Lines) -> None:
    for line in events(lines):
        for step in line["steps"]:
            del step["probabilities"]


def _never_larger(lines: Lines) -> None:
    for line in events(lines):
        for step in line["steps"]:
            step["model"] = MODELS[0]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (_other_cost_unit, "requests of 2 games"),
        (_unexplored, r"nothing can be estimated \(16 not explored\)"),
        (_never_larger, "took none of the 16 logged ways"),
    ],
)
def test_a_log_that_allows_no_estimate_says_why(log, change: Callable[[Lines], None], said):
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    change(lines)
    with pytest.raises(ValueError, match=said):
        off_policy(put_lines(log, lines), "always-largest", bank=BANK, resamples=100)


def test_the_command_prints_the_estimate_and_refuses_what_the_log_fixes(log):
    run = CliRunner().invoke
    printed = run(app, ["evaluate", "always-smallest", "--log", str(log), "--bank", BANK, "--resamples", "100"])
    assert printed.exit_code == 0, printed.output
    assert "estimated from 16 served requests" in printed.output
    assert "9 of its own" in printed.output
    asked = ["evaluate", "always-largest", "--log", str(log), "--bank", BANK, "--resamples", "100", "--json"]
    assert json.loads(run(app, asked).output)["accuracy"]["estimate"] == 1.0
    refused = run(app, [*asked, "--mode", "route"])
    assert "--mode with --log" in refused.output
    assert "without --log" in run(app, ["evaluate", "always-largest"]).output
