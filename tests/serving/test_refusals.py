"""What cannot be honoured is refused in OpenAI's form, and nothing of the server's inside is told."""

from __future__ import annotations

import logging
import time

import httpx2 as http
import openai
import pytest

from gym_stepwise_routing.serving.access import Access
from gym_stepwise_routing.serving.client_requests import RequestError
from gym_stepwise_routing.serving.pool_config import ServerConfig

HELLO = [{"role": "user", "content": "Hello?"}]
IMAGE = [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "http://x"}}]}]
TOOL = {"type": "function", "function": {"name": "f", "parameters": {}}}


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    import yaml
    from fake_endpoint import FakeEndpoint, lines_of
    from running_server import BANK, MODELS
    from running_server import running as run

    folder = tmp_path_factory.mktemp("pool")
    endpoint = FakeEndpoint(lines_of("small")).start()
    (folder / "prompt.txt").write_text("Q: {question}\nA:\n")
    price = {"input": 1, "cached_input": 1, "output": 1, "date": "2026-11-29", "source": "made up", "up_to": 400}
    same = {"url": endpoint.url, "model": "fake", "parameters": 1e9, "price": price}
    models = [{"name": name, **same} for name in MODELS]
    content = {
        "models": models,
        "router": "confidence-p_min",
        "bank": BANK,
        "prompt": str(folder / "prompt.txt"),
        "server": {"max_body": 5000},
    }
    (folder / "pool.yml").write_text(yaml.safe_dump(content))
    with run(folder / "pool.yml") as server:
        yield server
    endpoint.stop()


def test_a_request_longer_than_its_price_holds_is_refused_by_name(running):
    """Beyond a tier all tokens cost more: nobody would know what such an answer has cost."""
    assert running.ask().choices
    with pytest.raises(openai.BadRequestError, match="its price holds up to 400") as refused:
        running.ask(messages=[{"role": "user", "content": "word " * 500}])
    assert refused.value.code == "no_price"


@pytest.mark.parametrize(
    ("options", "param"),
    [
        ({"n": 2}, "n"),
        ({"tools": [TOOL]}, "tools"),
        ({"logit_bias": {"1": 1}}, "logit_bias"),
        ({"logprobs": True}, "logprobs"),
        ({"response_format": {"type": "json_object"}}, "response_format"),
        ({"messages": IMAGE}, "messages"),
        ({"messages": []}, "messages"),
        ({"messages": [*HELLO, {"role": "assistant", "content": "Hi"}]}, "messages"),
        ({"messages": [{"role": "system", "content": "Be brief."}, *HELLO]}, "messages"),
        ({"temperature": 3}, "temperature"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"stop": ["a"] * 5}, "stop"),
        ({"stop": "\n"}, "stop"),
        ({"extra_body": {"budget": -1, "hard_budget": True}}, "budget"),
        ({"extra_body": {"budget": 0.5}}, "budget"),
        ({"extra_body": {"budget": 10**400}}, "budget"),
        ({"extra_body": {"threshold": 10**400}}, "threshold"),
        ({"extra_body": {"hard_budget": True}}, "hard_budget"),
        ({"extra_body": {"threshold": -0.1}}, "threshold"),
        ({"extra_body": {"threshold": "low"}}, "threshold"),
        ({"extra_body": {"target": "accuracy=0.9x"}}, "target"),
        ({"extra_body": {"surprise": 1}}, "surprise"),
        ({"extra_headers": {"x-routing-budget": "much"}}, "budget"),
        ({"stream_options": {"include_usage": True}}, "stream_options"),
    ],
)
def test_refused_by_name(running, options, param):
    with pytest.raises(openai.BadRequestError) as refused:
        running.ask(**options)
    assert refused.value.param == param
    assert refused.value.type == "invalid_request_error"


def test_an_unknown_model_is_404_and_the_known_one_is_named(running):
    with pytest.raises(openai.NotFoundError, match="allowed: 'stepwise-routing'"):
        running.ask(model="gpt-4")


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"{", 400, "invalid_json"),
        (b"[1]", 400, "invalid_json"),
        (b"[" * 4000, 400, "invalid_json"),
        (b"x" * 6000, 413, "body_too_large"),
    ],
)
def test_bad_bodies(running, body, status, code):
    answer = http.post(f"{running.url}/v1/chat/completions", content=body, timeout=20)
    assert answer.status_code == status
    assert answer.json()["error"]["code"] == code


def test_unknown_paths_have_the_same_form(running):
    answer = http.get(f"{running.url}/v1/files")
    assert answer.status_code == 404
    assert answer.json()["error"]["type"] == "invalid_request_error"


def test_a_fault_of_ours_tells_no_stack_trace_and_keeps_the_server(running, monkeypatch, caplog):
    from gym_stepwise_routing.serving.served_router import ServedRouter

    def broken(*arguments):
        raise RuntimeError("secret detail")

    with monkeypatch.context() as patch:
        patch.setattr(ServedRouter, "decide", broken)
        with pytest.raises(openai.InternalServerError) as failed:
            running.ask()
    assert "secret" not in failed.value.response.text
    assert "Traceback" not in failed.value.response.text
    assert running.lines()[0].startswith("small")


def test_keys_are_asked_for_and_limits_hold(serve, monkeypatch):
    monkeypatch.setenv("ALICE", "key-of-alice")
    keys = [{"name": "alice", "key_env": "ALICE", "requests_per_minute": 2}]
    with serve(server={"api_keys": keys}) as running:
        for wrong in ("none", "key-of-alic", ""):
            with pytest.raises((openai.AuthenticationError, openai.OpenAIError)):
                openai.OpenAI(base_url=running.client.base_url, api_key=wrong, max_retries=0).models.list()
        running.client.api_key = "key-of-alice"
        running.ask()
        running.ask()
        with pytest.raises(openai.RateLimitError, match="2 requests a minute"):
            running.ask()
        assert http.get(f"{running.url}/health").status_code == 200


def test_no_key_stands_in_logs_or_answers(serve, endpoints, monkeypatch, caplog, tmp_path):
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("ALICE", "key-of-alice")
    monkeypatch.setenv("UPSTREAM", "key-of-upstream")
    from running_server import MODELS

    models = [
        {"name": name, "url": endpoint.url, "model": "fake", "parameters": 1e9, "api_key_env": "UPSTREAM"}
        for name, endpoint in zip(MODELS, endpoints, strict=True)
    ]
    keys = [{"name": "alice", "key_env": "ALICE"}]
    with serve(models=models, server={"api_keys": keys}, log={"path": str(tmp_path / "log.jsonl")}) as running:
        running.client.api_key = "key-of-alice"
        running.ask()
        endpoints[0].status = endpoints[1].status = 401
        with pytest.raises(openai.APIStatusError) as failed:
            running.ask()
        page = http.get(f"{running.url}/metrics").text
    ours = "".join(record.getMessage() for record in caplog.records if record.name.startswith("gym_stepwise"))
    for told in (ours, page, failed.value.response.text, (tmp_path / "log.jsonl").read_text()):
        assert "key-of" not in told


def test_limits_count_with_a_clock_that_never_goes_back(monkeypatch):
    monkeypatch.setenv("ALICE", "a")
    now = [0.0]
    config = ServerConfig(api_keys=[{"name": "alice", "key_env": "ALICE", "requests_per_minute": 1, "concurrent": 1}])
    access = Access(config, clock=lambda: now[0])
    client = access.client("Bearer a")
    access.admit(client)
    monkeypatch.setattr(time, "time", lambda: -1e9)
    with pytest.raises(RequestError, match="1 requests a minute"):
        access.admit(client)
    now[0] = 61.0
    with pytest.raises(RequestError, match="1 requests at a time"):
        access.admit(client)
    access.release(client)
    access.admit(client)
