"""The OpenAI-compatible generator against servers that behave and servers that do not."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from fake_servers import Answer, Server

from gym_stepwise_routing.generators import Completion, Failure, PartialStep, Request, StepRule, generate, read_steps
from gym_stepwise_routing.generators.openai_answers import completion_of

pytest.importorskip("openai")

from gym_stepwise_routing.generators.openai_server import OpenAIGenerator

USAGE = {"prompt_tokens": 7, "completion_tokens": 2, "total_tokens": 9}


def plain(text: str = "ab", **more: Any) -> dict[str, Any]:
    logprobs = {
        "tokens": list(text),
        "token_logprobs": [-0.1] * len(text),
        "top_logprobs": [{"a": -0.1, "b": -3.0}] * len(text),
    }
    return {"choices": [{"text": text, "logprobs": logprobs, "finish_reason": "stop"}], "usage": USAGE} | more


def connect(server: Server, **options: Any) -> OpenAIGenerator:
    return OpenAIGenerator("tiny", base_url=server.url, api_key="none", **({"retries": 0, "timeout": 60.0} | options))


def test_raw_completion_sends_prompt_and_prefix_greedily(serve: Callable[[Answer], Server]) -> None:
    server = serve(lambda path, body: (200, plain()))
    generator = connect(server)
    (run,) = generate(generator, [Request("Q\n", "a\n", 9, ("\n",))])
    path, body = server.requests[-1]
    assert path == "/v1/completions"
    assert (body["prompt"], body["max_tokens"], body["temperature"], body["stop"]) == ("Q\na\n", 9, 0.0, ["\n"])
    assert isinstance(run, Completion)
    assert (run.text, run.tokens, run.prompt_tokens, run.pieces) == ("ab", 2, 7, ("a", "b"))
    assert run.top[0, :2].tolist() == [-0.1, -3.0]
    assert generator.info().top_logprobs == 8


@pytest.mark.parametrize("continuation", ["continue_final_message", "prefill", "ask"])
def test_chat_continuation(serve: Callable[[Answer], Server], continuation: Any) -> None:
    entry = {
        "token": "a",
        "logprob": -0.1,
        "top_logprobs": [{"token": "a", "logprob": -0.1}, {"token": "b", "logprob": -3}],
    }
    choice = {
        "message": {"role": "assistant", "content": "a"},
        "logprobs": {"content": [entry]},
        "finish_reason": "length",
    }
    server = serve(lambda path, body: (200, {"choices": [choice], "usage": USAGE}))
    (run,) = generate(connect(server, continuation=continuation), [Request("Q", "so far\n", 9)])
    path, body = server.requests[-1]
    assert path == "/v1/chat/completions"
    assert [message["role"] for message in body["messages"]][:2] == ["user", "assistant"]
    assert body["messages"][1]["content"] == "so far\n"
    assert (len(body["messages"]) == 3) == (continuation == "ask")
    assert body.get("continue_final_message", False) == (continuation == "continue_final_message")
    assert isinstance(run, Completion)
    assert (run.text, run.finish, run.tokens) == ("a", "length", 2)


def test_without_log_probabilities_they_are_flagged_absent(serve: Callable[[Answer], Server]) -> None:
    answer = {"choices": [{"text": "ab", "logprobs": None, "finish_reason": "stop"}], "usage": USAGE}
    generator = connect(serve(lambda path, body: (200, answer)))
    assert generator.info().top_logprobs == 0
    (run,) = generate(generator, [Request("Q", "", 9)])
    assert isinstance(run, Completion)
    assert not run.has_logprobs
    assert run.pieces == ()
    assert run.tokens == 2


@pytest.mark.parametrize(("allowed", "offered"), [(5, 5), (0, 0)])
def test_a_server_that_refuses_so_many_log_probabilities_is_asked_for_fewer(
    serve: Callable[[Answer], Server], allowed: int, offered: int
) -> None:
    def answer(path: str, body: dict[str, Any]) -> tuple[int, Any]:
        if body.get("logprobs", 0) > allowed:
            return 400, {"error": {"message": f"logprobs must be <= {allowed}"}}
        told = plain()
        if "logprobs" not in body:
            del told["choices"][0]["logprobs"]
        return 200, told

    server = serve(answer)
    generator = connect(server)
    assert generator.info().top_logprobs == offered
    (run,) = generate(generator, [Request("Q", "", 9)])
    assert isinstance(run, Completion)
    assert run.has_logprobs == (offered > 0)
    assert ("logprobs" in server.requests[-1][1]) == (offered > 0)


def llama_cpp(body: dict[str, Any]) -> tuple[int, Any]:
    """What llama.cpp's server answers: no tokens of the stop word, whose first may carry the last full stop."""
    tokens = ["Two", " and", " two", ".\n", "The", " answer", " is", " 4", ".\n\n", "Question", ":"]
    done = body["prompt"].removeprefix("Q\n")
    at = next(i for i in range(len(tokens) + 1) if "".join(tokens[:i]) == done)
    text, count = "", 0
    for token in tokens[at : at + body["max_tokens"]]:
        text, count = text + token, count + 1
        found = [text.find(stop) for stop in body["stop"] or () if stop in text]
        if found:
            told = [
                t for i, t in enumerate(tokens[at : at + count]) if len("".join(tokens[at : at + i + 1])) <= min(found)
            ]
            text = text[: min(found)]
            break
    else:
        found, told = [], tokens[at : at + count]
    rows = [{"token": t, "logprob": -0.1, "top_logprobs": [{"logprob": -0.1}, {"logprob": -3.0}]} for t in told]
    choice = {"text": text, "logprobs": {"content": rows}, "finish_reason": "stop" if found else "length"}
    return 200, {"choices": [choice], "usage": {"prompt_tokens": 7, "completion_tokens": count}}


def test_a_server_that_hides_the_tokens_of_the_stop_word(serve: Callable[[Answer], Server]) -> None:
    def answer(path: str, body: dict[str, Any]) -> tuple[int, Any]:
        return llama_cpp(body) if body["prompt"].startswith("Q\n") else (200, plain())

    generator, rule = connect(serve(answer)), StepRule(answer=None)
    (run,) = generate(generator, [Request("Q\n", "", 20, rule.engine_stops)])
    assert isinstance(run, Completion)
    assert (run.text, run.tokens, len(run.pieces)) == ("Two and two.\nThe answer is 4.", 9, 8)
    first, last = read_steps(run, rule, [])
    assert [(step.text, step.tokens, step.first_tokens) for step in (first, last)] == [
        ("Two and two.", 4, 4),
        ("The answer is 4.", 5, 4),
    ]
    partial = PartialStep(rule, [])
    step = None
    while step is None:
        (part,) = generate(generator, [partial.request("Q\n", 20)])
        assert isinstance(part, Completion)
        step = partial.add(part)
    assert (step.text, step.tokens, step.ending, step.first_tokens) == ("Two and two.", 4, "", 3)


def test_a_stop_string_that_a_server_leaves_in_the_text_is_cut_off(serve: Callable[[Answer], Server]) -> None:
    choice = {"text": "ab\n", "logprobs": None, "finish_reason": "length"}
    server = serve(lambda path, body: (200, {"choices": [choice], "usage": USAGE}))
    (run,) = generate(connect(server), [Request("Q", "", 2, ("\n",))])
    assert isinstance(run, Completion)
    assert (run.text, run.finish, run.tokens) == ("ab", "stop", 2)


def test_without_a_key_the_environment_variable_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(ValueError, match=r"no key.*OPENAI_API_KEY"):
        OpenAIGenerator("tiny", base_url="http://127.0.0.1:9/v1")


def test_without_token_counts_the_server_is_refused(serve: Callable[[Answer], Server]) -> None:
    answer = plain()
    del answer["usage"]
    with pytest.raises(ValueError, match="counts are never made up"):
        connect(serve(lambda path, body: (200, answer)))


def test_an_unknown_model_is_told_with_those_on_offer(serve: Callable[[Answer], Server]) -> None:
    server = serve(lambda path, body: (404, {"error": {"message": "no such model"}}))
    with pytest.raises(ValueError, match=r"model='tiny'.*status 404.*offers: tiny"):
        connect(server)


def test_a_server_that_is_down_is_told() -> None:
    with pytest.raises(ValueError, match=r"no answer from http://127\.0\.0\.1:9/"):
        OpenAIGenerator("tiny", base_url="http://127.0.0.1:9/v1", api_key="none", retries=0, timeout=2)


@pytest.mark.parametrize(
    ("status", "body", "reason", "retryable"),
    [
        (500, {"error": {"message": "out of memory"}}, "status 500", True),
        (429, {"error": {"message": "slow down"}}, "status 429", True),
        (400, {"error": {"message": "maximum context length is 512 tokens"}}, "maximum context length", False),
        (200, "{not json", "cannot be read", False),
        (200, {"choices": []}, "no choices", False),
        (200, {"choices": [{"text": None}], "usage": USAGE}, "text is None", False),
        (200, [1, 2], "cannot be read", False),
    ],
)
def test_faults_after_the_start_are_failures(
    serve: Callable[[Answer], Server], status: int, body: Any, reason: str, retryable: bool
) -> None:
    answers = iter([(200, plain())])
    server = serve(lambda path, _: next(answers, (status, body)))
    (failure,) = generate(connect(server), [Request("Q", "", 9)])
    assert isinstance(failure, Failure)
    assert reason in failure.reason
    assert failure.retryable is retryable
    assert failure.reason.startswith("tiny: ")


def test_overload_is_retried_with_back_off(serve: Callable[[Answer], Server]) -> None:
    answers = iter([(200, plain()), (503, {}), (503, {})])
    server = serve(lambda path, body: next(answers, (200, plain("cd"))))
    (run,) = generate(connect(server, retries=3), [Request("Q", "", 9)])
    assert isinstance(run, Completion)
    assert run.text == "cd"
    assert len(server.requests) == 4


def test_a_slow_server_is_cut_off(serve: Callable[[Answer], Server]) -> None:
    answers = iter([(200, plain())])
    cut_off = threading.Event()

    def slow(path: str, body: dict[str, Any]) -> tuple[int, Any]:
        first = next(answers, None)
        if first is None:
            cut_off.wait(100)
        return first or (200, plain())

    generator = connect(serve(slow), timeout=2.0)
    start = time.monotonic()
    (failure,) = generate(generator, [Request("Q", "", 9)])
    seconds = time.monotonic() - start
    cut_off.set()
    assert isinstance(failure, Failure)
    assert failure.retryable
    assert seconds < 60


def test_no_more_requests_at_a_time_than_allowed(serve: Callable[[Answer], Server]) -> None:
    def answer(path: str, body: dict[str, Any]) -> tuple[int, Any]:
        time.sleep(0.05)
        return 200, plain()

    server = serve(answer)
    results = generate(connect(server, concurrency=3), [Request(f"Q{i}", "", 9) for i in range(12)])
    assert all(isinstance(result, Completion) for result in results)
    assert 1 < server.most_at_a_time <= 3


def test_results_keep_their_keys(serve: Callable[[Answer], Server]) -> None:
    server = serve(lambda path, body: (200, plain(body["prompt"][-2:])))
    runs = generate(connect(server), [Request(f"Q{i:02}", "", 9) for i in range(20)])
    assert [run.text if isinstance(run, Completion) else run for run in runs] == [f"{i:02}" for i in range(20)]


def test_prompt_tokens_are_the_servers(serve: Callable[[Answer], Server]) -> None:
    assert connect(serve(lambda path, body: (200, plain()))).count(["a", "b c"]) == [7, 7]


def test_characters_split_over_tokens_are_put_together() -> None:
    parts = [bytes([b]) for b in "é!".encode()]
    content = [
        {"token": "?", "bytes": list(part), "logprob": -0.5, "top_logprobs": [{"logprob": -0.5}, {"logprob": -2.0}]}
        for part in parts
    ]
    choice = {"text": "é!", "logprobs": {"content": content}, "finish_reason": "stop"}
    answer = {"choices": [choice], "usage": USAGE | {"completion_tokens": 3}}
    run = completion_of(answer, 4)
    assert run.pieces == ("", "é", "!")
    assert np.isnan(run.top[:, 2:]).all()


def test_bad_options_are_named() -> None:
    with pytest.raises(ValueError, match="continuation='psychic'"):
        OpenAIGenerator("tiny", continuation="psychic")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="concurrency=0"):
        OpenAIGenerator("tiny", concurrency=0)
