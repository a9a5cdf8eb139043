"""One pool file for record, calibrate, evaluate and serve."""

from __future__ import annotations

import json

import pytest
from running_server import MODELS, running
from typer.testing import CliRunner

pytest.importorskip("stable_baselines3")

from gym_stepwise_routing.banks import Bank
from gym_stepwise_routing.cli.app import app


def command(*words: str):
    result = CliRunner().invoke(app, list(words))
    assert result.exit_code == 0, result.output
    return result


def test_record_calibrate_evaluate_serve(pool_file, endpoints, tmp_path):
    endpoints[0].logprob = -0.75
    datasets = []
    for first, split in ((0, "calibration"), (100, "test")):
        path = tmp_path / f"{split}.jsonl"
        rows = [{"question": f"What is {first + k} + 0?", "answer": 42} for k in range(8)]
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        datasets += ["--dataset", f"{path}@{split}"]
    recorded = tmp_path / "bank"
    command("record", "--config", str(pool_file()), *datasets, "--out", str(recorded))
    bank = Bank.open(recorded / "bank")
    assert bank.pool.names == MODELS

    words = ["--bank", str(recorded / "bank"), "--target", "accuracy=0.5", "--out", str(tmp_path / "router"), "--json"]
    told = json.loads(command("calibrate", "confidence-p_min", *words, "--method", "empirical").stdout)
    measured = json.loads(command("evaluate", str(tmp_path / "router"), *words[:2], "--json").stdout)
    assert measured["accuracy"]["estimate"] == told["accuracy"]["estimate"] == 1

    with running(pool_file(router=str(tmp_path / "router"), bank=str(recorded / "bank"))) as server:
        answer = server.ask()
    assert answer.routing["threshold"] == told["certificate"]["threshold"]
    assert answer.routing["cost"]["normalised"] == pytest.approx(measured["cost"]["estimate"], rel=0.02)


@pytest.mark.parametrize("option", [["--horizon", "5"], ["--models", "openai:x"], ["--prompt", "gsm8k-4shot"]])
def test_what_the_file_decides_is_not_said_twice(pool_file, tmp_path, option):
    words = ["record", "--config", str(pool_file()), "--dataset", "x.jsonl", "--out", str(tmp_path / "out"), *option]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 2
    assert f"{option[0]}=" in result.output
    assert "allowed: one of them" in result.output.replace("\n", " ")
