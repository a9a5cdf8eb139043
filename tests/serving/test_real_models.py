"""The server in front of real models: two settings of SmolLM2 behind the server of transformers."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import httpx2 as http
import pytest
import yaml
from logged import check_replay, read_lines
from running_server import BANK, MODELS, running
from typer.testing import CliRunner

from gym_stepwise_routing.cli.app import app
from gym_stepwise_routing.serving.log_bank import bank_from_log

for package in ("torch", "transformers", "accelerate"):
    pytest.importorskip(package)

QUESTION = "Ann has 3 apples and buys 4 more. How many apples does she have?"


@pytest.fixture(scope="module")
def model() -> str:
    folder = os.environ.get("GSR_MODELS")
    if folder is None or not (path := Path(folder) / "smollm2-135m-instruct-q4_1").is_dir():
        pytest.skip("needs GSR_MODELS, a folder with smollm2-135m-instruct-q4_1")
    return str(path)


@pytest.fixture(scope="module")
def server(model: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a server on 127.0.0.1, stopped at the end."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    start = "from transformers.cli.transformers import main; main()"
    words = ["serve", model, "--host", "127.0.0.1", "--port", str(port), "--device", "cpu", "--dtype", "bfloat16"]
    log = tmp_path_factory.mktemp("server") / "log.txt"
    with log.open("w") as stream:
        process = subprocess.Popen(
            [sys.executable, "-c", start, *words],
            env=os.environ | {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"},
            stdout=stream,
            stderr=stream,
        )
    try:
        deadline = time.monotonic() + 200
        while True:
            assert process.poll() is None, log.read_text()[-2000:]
            assert time.monotonic() < deadline, "the server was not ready within 200 s"
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=2)
                break
            except OSError:
                time.sleep(0.5)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        process.terminate()
        process.wait(30)


@pytest.mark.slow
def test_a_real_model_answers_through_the_server(server: str, model: str, tmp_path: Path) -> None:
    models = [
        {"name": name, "url": server, "model": model, "parameters": size}
        for name, size in zip(MODELS, (135e6, 136e6), strict=True)
    ]
    models[1]["counts_like"] = MODELS[0]
    (tmp_path / "prompt.txt").write_text("Question: {question}\nAnswer:\n")
    content = {
        "models": models,
        "router": "confidence-p_min",
        "bank": BANK,
        "prompt": str(tmp_path / "prompt.txt"),
        "step": {"horizon": 2, "max_tokens": 16},
        "log": {"path": str(tmp_path / "log.jsonl")},
        "feedback": {"database": f"sqlite:///{tmp_path / 'feedback.sqlite'}"},
        "timeouts": {"connect": 5, "count": 120, "first_token": 120, "between_tokens": 60, "request": 240},
    }
    path = tmp_path / "pool.yml"
    path.write_text(yaml.safe_dump(content))
    with running(path) as ours:
        client = ours.client.with_options(timeout=280)
        messages = [{"role": "user", "content": QUESTION}]
        asked = {"model": "stepwise-routing", "messages": messages, "extra_body": {"threshold": 1.1}}  # always-smallest
        whole = client.chat.completions.create(**asked)
        chunks = list(client.chat.completions.create(**asked, stream=True))
        larger = client.chat.completions.create(**asked | {"extra_body": {"threshold": 0.0}})
        for id, right in ((whole.id, True), (chunks[-1].id, True), (larger.id, False)):
            body = {"id": id, "right": right}
            http.post(f"{ours.url}/v1/feedback", json=body, timeout=20).raise_for_status()
    text = whole.choices[0].message.content
    assert text
    assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == text
    assert whole.routing["ledger"][MODELS[0]]["kept"] > 0
    assert whole.usage.prompt_tokens > 0
    made = bank_from_log(tmp_path / "log.jsonl", tmp_path / "bank")
    assert (made.taken, made.left_out) == (3, {})
    assert check_replay(made.bank, read_lines(tmp_path / "log.jsonl")) == 3
    assert len(made.bank.problems) == 1


@pytest.mark.slow
def test_check_finds_the_habits_of_transformers_serve(server: str, model: str, tmp_path: Path) -> None:
    """It closes an open message, gives no log-probabilities, ignores the temperature, and counts in the last chunk."""
    models = [
        {"name": name, "url": server, "model": model, "parameters": 135e6, "continuation": continuation}
        for name, continuation in zip(MODELS, ("prefill", "continue_final_message"), strict=True)
    ]
    timeouts = {"connect": 5, "count": 120, "first_token": 120, "between_tokens": 60, "request": 240}
    path = tmp_path / "pool.yml"
    path.write_text(yaml.safe_dump({"models": models, "timeouts": timeouts}))
    result = CliRunner().invoke(app, ["check", str(path), "--json"])
    assert result.exit_code == 2, result.output
    found = {(one["model"], one["question"]): (one["status"], one["told"]) for one in json.loads(result.stdout)}
    for name, reason in zip(MODELS, ("closes a half-written answer", "Unexpected fields"), strict=True):
        status, told = found[name, "leaves a half-written answer open"]
        assert status == "fails"
        assert reason in told
        assert found[name, "log-probabilities"][1].startswith("left out")
        assert found[name, "draws at a temperature"][0] == "no"
        assert found[name, "streams"][1].endswith("in the last chunk")
