"""``bank from-log``: a bank of the steps that were taken, whose replay is what was logged."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import openai
import pytest
from logged import QUESTIONS, Lines, ask, check_replay, events, put_lines, write_log
from running_server import MODELS
from typer.testing import CliRunner

from gym_stepwise_routing.banks import Bank
from gym_stepwise_routing.baselines import ConfidenceThreshold
from gym_stepwise_routing.cli.app import app
from gym_stepwise_routing.evaluation.evaluate import evaluate, play
from gym_stepwise_routing.game.config import GameConfig
from gym_stepwise_routing.game.game import Game
from gym_stepwise_routing.serving.log_bank import bank_from_log


@pytest.fixture(scope="module")
def lines(tmp_path_factory: pytest.TempPathFactory) -> Lines:
    """Two questions in *route*, each at three thresholds, and all of them judged; the first question once more."""

    def use(server, endpoints):
        for question in QUESTIONS:
            ask(server, question, right=True)
            ask(server, question, right=False, threshold=0.0)
            ask(server, question, right=True, threshold=1.1)
        ask(server, QUESTIONS[0])

    return write_log(tmp_path_factory.mktemp("served"), use)


@pytest.fixture
def made(tmp_path: Path) -> Callable[..., Any]:
    """Makes a bank of lines."""

    def make(lines, **options):
        return bank_from_log(put_lines(tmp_path / "log.jsonl", lines), tmp_path / "bank", **options)

    return make


@pytest.mark.parametrize("mode", ["route", "escalate", "regenerate"])
def test_replaying_the_bank_gives_the_logged_ledger_cost_and_decisions(mode, tmp_path):
    def use(server, endpoints):
        ask(server, QUESTIONS[0], right=True)
        ask(server, QUESTIONS[0], right=True, threshold=0.0)
        ask(server, QUESTIONS[0], right=False, threshold=1.1)
        if mode == "route":
            endpoints[1].break_after = 3  # the smaller model ends what the larger one has begun
        else:
            endpoints[0].break_after = 0  # the larger one writes, without a draft
        ask(server, QUESTIONS[1], right=True, threshold=0.0 if mode == "route" else None)
        endpoints[0].status = endpoints[1].status = 500
        with pytest.raises(openai.InternalServerError, match="no model"):
            ask(server, "What is 7 x 6?")

    lines = write_log(tmp_path, use, mode=mode)
    made = bank_from_log(tmp_path / "log.jsonl", tmp_path / "bank")
    assert made.taken == check_replay(made.bank, lines) == 4
    assert made.left_out == {"not answered (no_model)": 1}
    first = events(lines)[0]
    assert first["own"] == {}
    assert any(line["failures"] for line in events(lines))
    assert any(step["draft"] for line in events(lines) for step in line["steps"]) == (mode == "regenerate")
    game = Game(GameConfig(made.bank, split="train", mode=mode, normaliser=first["always_largest"]["raw"]))
    result = play(ConfidenceThreshold(), game)
    assert [MODELS[k] for k in result.decisions[0] if k >= 0] == [step["model"] for step in first["steps"]]
    assert result.cost[0] == first["cost"]["normalised"]


def test_the_manifest_says_where_it_comes_from_and_nothing_is_measured_on_it(lines, made):
    bank = made(lines).bank
    served = bank.manifest.served
    assert served.router == ("confidence-p_min",)
    assert (served.requests, served.propensity) == (7, 1.0)
    assert (served.first, served.last) == (events(lines)[0]["time"], events(lines)[-1]["time"])
    assert "Only the steps that were taken" in bank.manifest.description
    assert bank.manifest.modes == ("route",)
    assert Bank.open(bank.path).hash == bank.hash
    with pytest.raises(ValueError, match="made from a log"):
        evaluate(ConfidenceThreshold(), bank, split="train")


def test_an_answer_without_feedback_is_in_it_where_it_came_a_known_way(lines, made):
    unjudged = [line for line in lines if line["event"] != "feedback" or line["id"] != events(lines)[3]["id"]]
    made_again = made(unjudged)
    assert made(lines, overwrite=True).taken == 7
    assert made_again.taken == 6
    assert made_again.left_out == {"no feedback: nobody knows whether the answer is right": 1}


def changed(lines: Lines, number: int, change: Callable[[dict[str, Any]], Any]) -> Lines:
    """The log with one request changed."""
    lines = copy.deepcopy(lines)
    change(events(lines)[number])
    return lines


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda r: r["steps"][0]["node"].update(sha256="other"), "conflict: another step of the same model"),
        (lambda r: r.update(prompt_tokens=[19, 19]), "its ledger is not that of its steps"),
        (lambda r: r["ledger"][MODELS[0]].update(probe=1), "its ledger is not that of its steps"),
        (lambda r: r.update(ended="max_tokens"), "cut off (max_tokens)"),
        (lambda r: r.update(own={"max_tokens": 9}, finish_reason="length"), "cut off (max_tokens)"),
        (lambda r: r.update(own={"sampling": {"temperature": 1.0}}), "sampled"),
        (lambda r: r.update(own={"stop": ["x"]}), "with stop strings"),
        (lambda r: r.update(prompt_tokens=[0, 9]), "a model did not count the prompt"),
        (lambda r: r.update(outcome="left"), "not answered (left)"),
    ],
)
def test_what_cannot_be_taken_is_counted_by_reason(lines, made, change, reason):
    result = made(changed(lines, 6, change))  # the last request: one more on the first question
    assert (result.requests, result.taken) == (7, 6)
    ((told, count),) = result.left_out.items()
    assert told.startswith(reason)
    assert count == 1


def test_feedback_that_contradicts_itself_is_told(lines, made):
    lines = copy.deepcopy(lines)
    said = copy.deepcopy(events(lines, "feedback")[0])
    said.update(id=events(lines)[6]["id"], right=not said["right"])
    assert made([*lines, said]).left_out == {"conflict: other feedback on the same answer": 1}


def test_a_draft_where_there_was_none_is_a_conflict(tmp_path):
    """Merged, one of the two would be charged a draft that it had not, or not charged the one that it had."""

    def use(server, endpoints):
        ask(server, QUESTIONS[0], right=True, threshold=0.0)
        ask(server, QUESTIONS[0], right=True, threshold=0.0)

    lines = write_log(tmp_path, use, mode="regenerate")
    for number in (0, 1):
        changed_lines = changed(lines, number, lambda request: [step.update(draft=None) for step in request["steps"]])
        request = events(changed_lines)[number]
        small = request["ledger"][MODELS[0]]
        small.update(dict.fromkeys(small, 0))
        result = bank_from_log(put_lines(tmp_path / "x.jsonl", changed_lines), tmp_path / f"bank{number}")
        assert result.left_out == {"conflict: a draft at the same place where there was none": 1}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda lines: [line for line in lines if line["event"] == "server"], "no request"),
        (lambda lines: [line for line in lines if line["event"] != "server"], "the line of the server"),
        (
            lambda lines: [line for line in lines if line["event"] != "feedback"],
            "can be taken: 7 no feedback",
        ),
        (lambda lines: changed(lines, 2, lambda r: r.update(mode="escalate")), "modes escalate, route; allowed: one"),
        (
            lambda lines: [
                {**lines[0], "id": "b", "form": "chat"},
                *changed(lines, 2, lambda r: r.update(server="b")),
            ],
            "servers with other form",
        ),
    ],
)
def test_a_log_that_makes_no_bank_is_refused_in_one_sentence(lines, change, message, tmp_path):
    log = put_lines(tmp_path / "log.jsonl", change(copy.deepcopy(lines)))
    result = CliRunner().invoke(app, ["bank", "from-log", str(log), "--out", str(tmp_path / "bank")])
    assert result.exit_code == 1
    assert message in result.stderr
    assert not (tmp_path / "bank").exists()


def test_texts_and_the_command(tmp_path):
    log = {"path": str(tmp_path / "log.jsonl"), "texts": True}
    lines = write_log(tmp_path, lambda server, _: ask(server, QUESTIONS[0], right=True), log=log)
    out = tmp_path / "bank"
    result = CliRunner().invoke(app, ["bank", "from-log", str(tmp_path / "log.jsonl"), "--out", str(out)])
    assert result.exit_code == 0, result.output
    assert "1 of 1 requests, 1 problems, 5 nodes" in result.stdout
    bank = Bank.open(out)
    assert [bank.text(row) for row in range(1, 5)] == [step["node"]["text"] for step in events(lines)[0]["steps"]]
    assert CliRunner().invoke(app, ["bank", "verify", str(out)]).exit_code == 0
    again = CliRunner().invoke(app, ["bank", "from-log", str(tmp_path / "log.jsonl"), "--out", str(out)])
    assert (again.exit_code, "exists already" in again.stderr) == (1, True)
