"""Endpoints that are down, slow, overloaded or break in the middle: the client sees one unbroken answer, or why not."""

from __future__ import annotations

import threading
import time

import httpx2 as http
import openai
import pytest
from running_server import MODELS

LINES = ["{0} writes line 0 of it", "{0} writes line 1 of it", "{0} writes line 2 of it", "The answer is 42."]
SMALL, LARGE = MODELS


def until(true, seconds=30.0):
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.02)


def test_an_endpoint_that_is_down_is_masked_and_the_next_goes_on(serve, endpoints):
    endpoints[0].stop()
    with serve() as running:
        answer = running.ask()
    assert answer.choices[0].message.content.split("\n") == [line.format("large") for line in LINES]
    assert {step["model"] for step in answer.routing["steps"]} == {LARGE}
    assert {step["chosen"] for step in answer.routing["steps"]} == {SMALL}
    endpoints[0].start()  # for the fixture


@pytest.mark.parametrize("status", [429, 500, 503])
def test_an_overloaded_endpoint_is_masked_for_the_step(serve, endpoints, status):
    with serve() as running:
        running.ask()
        endpoints[0].status = status
        answer = running.ask()
    assert answer.choices[0].message.content.split("\n")[0] == LINES[0].format("large")
    assert answer.routing["failures"][0]["model"] == SMALL
    assert str(status) in answer.routing["failures"][0]["reason"]


def test_a_stream_that_breaks_in_mid_step_is_gone_on_with_from_where_it_broke(serve, endpoints):
    small, large = endpoints
    with serve() as running:
        running.ask()
        small.break_after = 3
        chunks = list(running.ask(stream=True))
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    first, *rest = text.split("\n")
    assert first == "small writes line 0 of it", "the large model has gone on with the small one's line"
    assert rest[-1] == "The answer is 42."
    routing = chunks[-1].routing
    failure = routing["failures"][0]
    assert (failure["model"], failure["step"], failure["kept_tokens"]) == (SMALL, 0, 3)
    assert routing["steps"][0]["model"] == LARGE
    assert routing["steps"][0]["tokens"] == 7
    continued = large.written[0]["prompt"]
    assert continued.endswith("A:\nsmall writes line")


@pytest.mark.parametrize("stream", [True, False])
def test_where_a_rewriting_model_breaks_the_draft_stands(serve, endpoints, stream):
    """In regenerate nothing of a step is shown before it is whole: the draft does not go on with another's text."""
    large = endpoints[1]
    with serve(router="always-largest", mode="regenerate") as running:
        large.break_after = 3
        if stream:
            chunks = list(running.ask(stream=True))
            text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
            routing = chunks[-1].routing
        else:
            answer = running.ask()
            text, routing = answer.choices[0].message.content, answer.routing
    assert text.split("\n") == [line.format("small") for line in LINES]
    assert {step["model"] for step in routing["steps"]} == {SMALL}
    assert {step["chosen"] for step in routing["steps"]} == {LARGE}
    assert {failure["model"] for failure in routing["failures"]} == {LARGE}
    assert all("kept_tokens" not in failure for failure in routing["failures"])


def test_a_slow_endpoint_is_given_up_after_its_time_out(serve, endpoints):
    with serve(timeouts={"connect": 1, "first_token": 0.4, "between_tokens": 0.4, "request": 10}) as running:
        running.ask()
        endpoints[0].hang = True
        began = time.monotonic()
        answer = running.ask()
    assert answer.choices[0].message.content.startswith("large")
    assert "too slow" in answer.routing["failures"][0]["reason"]
    assert time.monotonic() - began < 8


def test_it_comes_back_by_itself(serve, endpoints):
    small = endpoints[0]
    with serve() as running:
        small.status = 500
        for _ in range(2):
            assert running.lines()[0].startswith("large")
        until(lambda: running.service.endpoints[0].circuit.state != "closed")
        small.status = 200
        until(lambda: running.service.endpoints[0].circuit.state == "closed")
        assert running.lines()[0].startswith("small")


def test_start_up_needs_no_endpoint_and_all_down_is_503_with_retry_after(serve, endpoints):
    ports = [endpoint.port for endpoint in endpoints]
    for endpoint in endpoints:
        endpoint.stop()
    with serve() as running:
        assert http.get(f"{running.url}/ready").status_code == 503
        for stream in (False, True):
            with pytest.raises(openai.APIStatusError) as refused:
                running.ask(stream=stream)
            assert refused.value.status_code == 503
            assert int(refused.value.response.headers["retry-after"]) >= 1
            assert refused.value.body["code"] == "no_model"
        for endpoint, port in zip(endpoints, ports, strict=True):
            endpoint.start(port)
        until(lambda: set(http.get(f"{running.url}/ready").json()["models"].values()) == {"closed"})
        assert http.get(f"{running.url}/ready").status_code == 200
        assert running.lines()[0].startswith("small")


def test_all_down_after_text_was_sent_is_a_well_formed_error_event(serve, endpoints):
    with serve() as running:
        running.ask()
        for endpoint in endpoints:
            endpoint.break_after = 2
        pieces = []
        stream = (pieces.append(chunk.choices[0].delta.content or "") for chunk in running.ask(stream=True))
        with pytest.raises(openai.APIError, match="no model can write the next step"):
            list(stream)
        assert "".join(pieces).startswith("small writes")
        page = http.get(f"{running.url}/metrics").text
    assert 'requests_total{outcome="no_model"} 1.0' in page


@pytest.mark.parametrize("stream", [True, False])
def test_a_client_that_leaves_cancels_the_work_upstream(serve, endpoints, stream):
    small = endpoints[0]
    with serve() as running:
        running.ask()
        small.token_seconds = 1.0  # an answer takes long, on a busy machine too
        body = {"model": "stepwise-routing", "messages": [{"role": "user", "content": "Q"}], "stream": stream}
        url = f"{running.url}/v1/chat/completions"
        if stream:
            with http.stream("POST", url, json=body, timeout=20) as response:
                lines = response.iter_lines()  # kept: one that is thrown away closes the answer
                next(lines)
                until(lambda: small.streaming == 1)
        else:
            with pytest.raises(http.ReadTimeout):
                http.post(url, json=body, timeout=0.5)
        until(lambda: small.streaming == 0)
        written = len(small.requests)
        time.sleep(0.5)
        assert len(small.requests) == written
        until(lambda: 'outcome="left"} 1.0' in http.get(f"{running.url}/metrics").text)


def test_shutting_down_lets_answers_finish(serve, endpoints):
    endpoints[0].token_seconds = 0.05
    got = {}

    def ask(running):
        got["text"] = running.ask().choices[0].message.content

    with serve() as running:
        thread = threading.Thread(target=ask, args=(running,))
        thread.start()
        until(lambda: endpoints[0].streaming == 1)
    thread.join(10)
    assert got["text"].split("\n")[-1] == "The answer is 42."


def test_many_streams_at_once_are_all_whole(serve, endpoints):
    endpoints[0].token_seconds = 0.01
    texts = []
    with serve() as running:
        running.ask()

        def ask():
            chunks = running.ask(stream=True)
            texts.append("".join(c.choices[0].delta.content or "" for c in chunks if c.choices))

        threads = [threading.Thread(target=ask) for _ in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
    assert texts == ["\n".join(line.format("small") for line in LINES)] * 20
