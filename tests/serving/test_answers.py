"""Answers through the official client: who writes, what is counted, and that text streams as it is written."""

from __future__ import annotations

import json
import time

import httpx2 as http
import pytest
from running_server import MODELS

LINES = ["{0} writes line 0 of it", "{0} writes line 1 of it", "{0} writes line 2 of it", "The answer is 42."]


def test_the_router_decides_who_writes(serve):
    with serve(router="always-largest") as running:
        answer = running.ask()
    assert answer.choices[0].message.content.split("\n") == [line.format("large") for line in LINES]
    assert answer.choices[0].finish_reason == "stop"
    assert [step["model"] for step in answer.routing["steps"]] == [MODELS[1]] * 4
    ledger = answer.routing["ledger"]
    assert ledger[MODELS[0]]["kept"] == 0
    assert ledger[MODELS[1]]["calls"] == 4
    assert answer.routing["always_largest"]["estimated"] is True
    assert answer.usage.completion_tokens >= ledger[MODELS[1]]["kept"]
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens


def test_a_stream_has_the_same_text_and_ends_with_usage_and_routing(serve):
    with serve() as running:
        whole = running.ask()
        chunks = list(running.ask(stream=True, stream_options={"include_usage": True}))
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == whole.choices[0].message.content
    assert chunks[-1].choices == []
    assert chunks[-1].usage.completion_tokens == whole.usage.completion_tokens
    assert chunks[-1].routing["ledger"] == whole.routing["ledger"]
    assert [c.choices[0].finish_reason for c in chunks if c.choices][-1] == "stop"


def test_text_is_shown_as_it_is_written(serve, endpoints):
    with serve() as running:
        endpoints[0].token_seconds = 0.05
        began = time.monotonic()
        stream = running.ask(stream=True)
        times = [time.monotonic() - began for chunk in stream if chunk.choices and chunk.choices[0].delta.content]
    assert len(times) > 12
    assert times[0] < 0.5 * times[-1]


def test_plain_completions(serve):
    with serve() as running:
        answer = running.client.completions.create(model="stepwise-routing", prompt="What is 6 x 7?")
        chunks = list(running.client.completions.create(model="stepwise-routing", prompt="What?", stream=True))
    assert answer.choices[0].text.split("\n") == [line.format("small") for line in LINES]
    assert "".join(chunk.choices[0].text for chunk in chunks) == answer.choices[0].text


@pytest.mark.parametrize(("logprob", "writer"), [(-0.01, "small"), (-2.0, "large")])
def test_regenerate_keeps_a_sure_draft_and_rewrites_a_shaky_one(serve, endpoints, logprob, writer):
    endpoints[0].logprob = logprob
    with serve(router="confidence-p_min", mode="regenerate") as running:
        answer = running.ask()
    assert answer.choices[0].message.content.split("\n")[0] == LINES[0].format(writer)
    (scores,) = {tuple(step["scores"]) for step in answer.routing["steps"][:3]}
    assert (scores[0] >= 0.5) == (writer == "large")
    discarded = answer.routing["ledger"][MODELS[0]]["discarded"]
    assert (discarded > 0) == (writer == "large")


def test_escalate_never_goes_back(serve, endpoints):
    endpoints[0].logprob = -2.0
    with serve(router="confidence-p_min", mode="escalate") as running:
        lines = running.lines()
    assert lines == [LINES[0].format("small"), *(line.format("large") for line in LINES[1:])]


def test_three_models(serve, endpoints, pool_file):
    from fake_endpoint import FakeEndpoint, lines_of

    middle = FakeEndpoint(lines_of("middle")).start()
    try:
        names = ("a", "b", "c")
        urls = (endpoints[0].url, middle.url, endpoints[1].url)
        models = [
            {"name": n, "url": u, "model": "fake", "parameters": p}
            for n, u, p in zip(names, urls, (1e9, 2e9, 4e9), strict=True)
        ]
        # the preset with three models measures the costs; its models have the names that it gives them
        from gym_stepwise_routing.sources.simulator import SimulatorSource

        pool = SimulatorSource("math-qwen2.5-3").pool
        models = [model | {"name": name} for model, name in zip(models, pool.names, strict=True)]
        with serve(models=models, bank="math-qwen2.5-3", router="confidence-p_min") as running:
            answer = running.ask(extra_body={"threshold": 0})
    finally:
        middle.stop()
    assert answer.choices[0].message.content.startswith("large")
    assert len(answer.routing["ledger"]) == 3


def test_a_threshold_and_its_header_move_the_decisions(serve):
    with serve(router="confidence-p_min") as running:
        plain = running.ask().routing
        body = running.ask(extra_body={"threshold": 0.0}).routing
        header = running.ask(extra_headers={"x-routing-threshold": "0"}).routing
    assert [step["model"] for step in plain["steps"]] == [MODELS[0]] * 4
    assert [step["model"] for step in body["steps"]] == [MODELS[1]] * 4
    assert header["steps"] == body["steps"]
    assert body["threshold"] == 0


def test_a_hard_budget_cuts_the_answer_off(serve):
    with serve(router="always-largest") as running:
        answer = running.ask(extra_body={"budget": 1e-6, "hard_budget": True})
    assert answer.choices[0].finish_reason == "length"
    assert answer.routing["ended"] == "budget"
    assert len(answer.routing["steps"]) == 1


def test_max_tokens_stop_and_temperature_are_honoured(serve, endpoints):
    with serve() as running:
        short = running.ask(max_tokens=8, temperature=0.7, seed=5)
        stopped = running.ask(stop=["line 1"])
    assert short.choices[0].finish_reason == "length"
    assert short.choices[0].message.content == "small writes line 0 of it\nsmall"
    assert stopped.choices[0].message.content == "small writes line 0 of it\nsmall writes"
    assert stopped.choices[0].finish_reason == "stop"
    body = next(body for body in endpoints[0].written if body["temperature"] == 0.7)
    assert body["seed"] == 5


def test_an_endpoint_without_streams_log_probabilities_or_tokenizer_still_serves(serve, endpoints):
    endpoints[0].streams = endpoints[0].logprobs = endpoints[0].tokenizes = False
    with serve() as running:
        chunks = list(running.ask(stream=True))
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text.split("\n") == [line.format("small") for line in LINES]


def test_models_health_ready_and_metrics(serve):
    with serve() as running:
        running.ask()
        (model,) = running.client.models.list().data
        assert model.id == "stepwise-routing"
        assert model.routing["pool"] == list(MODELS)
        assert http.get(f"{running.url}/health").json() == {"status": "ok"}
        assert http.get(f"{running.url}/ready").json()["ready"] is True
        page = http.get(f"{running.url}/metrics").text
    assert 'stepwise_routing_requests_total{outcome="answered"} 1.0' in page
    assert f'stepwise_routing_steps_total{{model="{MODELS[0]}"}} 4.0' in page
    assert "stepwise_routing_always_largest_cost_estimated_total 1.0" in page


def test_the_routing_is_valid_json_of_the_documented_fields(serve):
    with serve() as running:
        routing = running.ask().routing
    json.dumps(routing, allow_nan=False)
    assert {
        "id",
        "router",
        "mode",
        "threshold",
        "promise",
        "steps",
        "failures",
        "ledger",
        "cost",
        "always_largest",
    } <= set(routing)
