"""Serving in front of fakes that do what llama.cpp's server and transformers serve were measured to do."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import openai
import pytest
import yaml
from fake_servers import FakeLlamaCpp, FakeTransformersServe, Server
from running_server import BANK, MODELS, running
from typer.testing import CliRunner

from gym_stepwise_routing.cli.app import app

LINES = ["Two and two", "make four", "Two and two", "The answer is 4."]
TEXT = "\n".join(LINES) + "\n\n"
COUNTING = "one, two, three, four, five, six\n"


@pytest.fixture
def pool_of(tmp_path: Path) -> Iterator[Callable[..., Path]]:
    servers: list[Server] = []
    (tmp_path / "prompt.txt").write_text("Q: {question}\nA:\n")

    def write(answer: Any, continuation: str) -> Path:
        servers.append(Server(answer))
        models = [
            {"name": name, "url": servers[-1].url, "model": "tiny", "parameters": size, "continuation": continuation}
            for name, size in zip(MODELS, (0.5e9, 1.5e9), strict=True)
        ]
        content = {
            "models": models,
            "router": "always-smallest",
            "bank": BANK,
            "prompt": str(tmp_path / "prompt.txt"),
            "timeouts": {"connect": 5, "count": 20, "first_token": 20, "between_tokens": 20, "request": 60},
        }
        path = tmp_path / "pool.yml"
        path.write_text(yaml.safe_dump(content))
        return path

    yield write
    for server in servers:
        server.close()


@pytest.mark.parametrize("streams", [True, False])
@pytest.mark.parametrize("continuation", ["prefill", "continue_final_message"])
def test_no_step_is_doubled(pool_of: Callable[..., Path], continuation: str, streams: bool) -> None:
    """llama.cpp's streams tell the new text alone, its whole answers begin with a copy of what they continue."""
    with running(pool_of(FakeLlamaCpp(TEXT, streams=streams), continuation)) as ours:
        whole = ours.ask()
        chunks = list(ours.ask(stream=True))
    assert whole.choices[0].message.content.split("\n") == LINES
    assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == "\n".join(LINES)
    ledger = whole.routing["ledger"][MODELS[0]]
    assert ledger["kept"] == 15  # words, and the newlines between the lines; the answer's last word ends it


@pytest.mark.parametrize("streams", [True, False])
def test_a_stop_string_that_begins_within_a_token_ends_a_step_and_not_the_answer(
    pool_of: Callable[..., Path], streams: bool
) -> None:
    """llama.cpp's streams cut that token to what stands before the stop string, and tell it like any other."""
    with running(pool_of(FakeLlamaCpp(TEXT, streams=streams, merged=True), "prefill")) as ours:
        whole = ours.ask()
        chunks = list(ours.ask(stream=True))
    assert whole.choices[0].message.content.split("\n") == LINES
    assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == "\n".join(LINES)
    assert [step["tokens"] for step in whole.routing["steps"]] == [3, 2, 3, 4]


def test_a_server_whose_streams_repeat_what_they_continue(pool_of: Callable[..., Path]) -> None:
    """No server measured does so; if one did, nothing of the copy would be shown."""
    real = FakeLlamaCpp(TEXT)

    def copies(path: str, body: dict[str, Any]) -> tuple[int, Any]:
        status, answer = real(path, body)
        begun = (body.get("messages") or [{"role": "user"}])[-1]
        if body.get("stream") and begun["role"] == "assistant":
            answer.insert(1, {"choices": [{"index": 0, "delta": {"content": begun["content"]}}]})
        return status, answer

    with running(pool_of(copies, "prefill")) as ours:
        chunks = list(ours.ask(stream=True))
    assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == "\n".join(LINES)


def check(path: Path) -> tuple[int, dict[str, tuple[str, str]]]:
    result = CliRunner().invoke(app, ["check", str(path), "--json"])
    found = [one for one in json.loads(result.stdout) if one["model"] in (MODELS[0], "pool")]
    return result.exit_code, {one["question"]: (one["status"], one["told"]) for one in found}


@pytest.mark.parametrize(
    ("continuation", "reason"),
    [("prefill", "closes a half-written answer (6 tokens more)"), ("continue_final_message", "Unexpected fields")],
)
def test_check_finds_the_habits_of_transformers_serve(
    pool_of: Callable[..., Path], continuation: str, reason: str
) -> None:
    code, found = check(pool_of(FakeTransformersServe(COUNTING), continuation))
    assert code == 2
    status, told = found["leaves a half-written answer open"]
    assert status == "fails"
    assert reason in told
    assert found["log-probabilities"][0] == "no"
    assert found["log-probabilities"][1].startswith("left out")
    assert found["draws at a temperature"][0] == "no"
    assert found["streams"] == ("yes", "text is shown as it is written, tokens are counted in the last chunk")


def test_check_of_a_server_that_drops_the_newline(pool_of: Callable[..., Path]) -> None:
    """A chat template that trims messages, as some do."""
    real = FakeLlamaCpp(COUNTING)

    def trims(path: str, body: dict[str, Any]) -> tuple[int, Any]:
        for message in body.get("messages", ()):
            message["content"] = message["content"].rstrip()
        return real(path, body)

    code, found = check(pool_of(trims, "prefill"))
    assert code == 1
    assert found["leaves a half-written answer open"][0] == "no"
    assert "drops the newline" in found["leaves a half-written answer open"][1]
    assert found["continues a half-written line"][0] == "yes"


def test_an_endpoint_that_closes_the_message_never_continues_a_step(pool_of: Callable[..., Path]) -> None:
    refused = pytest.raises(openai.InternalServerError, match="closes a half-written answer")
    with running(pool_of(FakeTransformersServe(TEXT), "prefill")) as ours, refused:
        ours.ask()
