"""Answers that no server should give: each is a failure of its request, told in one line, and never an exception.

The fakes do what public reports say that servers did; the report stands beside each case.
"""

from __future__ import annotations

import copy
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
from fake_servers import Answer, Server
from hypothesis import given, settings
from hypothesis import strategies as st

from gym_stepwise_routing.generators import Completion, Failure, Request, generate
from gym_stepwise_routing.generators.attempts import LONGEST_PAUSE, asked_seconds, pause
from gym_stepwise_routing.generators.openai_answers import AnswerError, completion_of

pytest.importorskip("openai")

from gym_stepwise_routing.generators.openai_server import OpenAIGenerator

Serve = Callable[[Answer], Server]


def good(**more: Any) -> dict[str, Any]:
    """An answer of vLLM's ``/completions``."""
    logprobs = {
        "tokens": ["4", "\n"],
        "token_logprobs": [-0.1, -0.2],
        "top_logprobs": [{"4": -0.1, "b": -3.0}, {"\n": -0.2, "b": -3.0}],
    }
    choice = {"index": 0, "text": "4\n", "logprobs": logprobs, "finish_reason": "stop"}
    return {"model": "tiny", "choices": [choice], "usage": {"prompt_tokens": 7, "completion_tokens": 2}} | more


def connect(server: Server, **options: Any) -> OpenAIGenerator:
    return OpenAIGenerator("tiny", base_url=server.url, api_key="none", **({"retries": 0, "timeout": 60.0} | options))


def changed(*path: str | int, to: Any) -> dict[str, Any]:
    answer = copy.deepcopy(good())
    place: Any = answer
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = to
    return answer


LOGPROBS = ("choices", 0, "logprobs")
MALFORMED = {
    "fewer figures than tokens": (changed(*LOGPROBS, "token_logprobs", to=[-0.1]), "2 tokens, 1 token_logprobs"),
    "more rows than tokens": (changed(*LOGPROBS, "top_logprobs", to=[{}] * 3), "3 top_logprobs"),
    "half a character": (changed("choices", 0, "text", to="4\ud83d"), "surrogates not allowed"),
    "too many tokens": (changed("usage", "completion_tokens", to=10**12), "completion_tokens is 1000000000000"),
    "a negative count": (changed("usage", "completion_tokens", to=-1), "completion_tokens is -1"),
    "no prompt": (changed("usage", "prompt_tokens", to=0), "prompt_tokens is 0; allowed: 1 to"),
    "a count that is none": (changed("usage", "prompt_tokens", to=True), "prompt_tokens is True"),
    "a share for a count": (changed("usage", "prompt_tokens", to=7.5), r"prompt_tokens is 7\.5"),
    "a positive figure": (changed(*LOGPROBS, "token_logprobs", to=[0.5, -0.2]), r"log-probability is 0\.5"),
    "a positive top": (changed(*LOGPROBS, "top_logprobs", 0, "b", to=3.0), r"log-probability is 3\.0"),
    "no figure": (changed(*LOGPROBS, "token_logprobs", to=[None, -0.2]), "log-probability is None"),
    "not a number": (changed(*LOGPROBS, "token_logprobs", to=[float("nan"), -0.2]), "log-probability is nan"),
    "too large for a float": (changed(*LOGPROBS, "token_logprobs", to=[-(10**400), -0.2]), "log-probability is -1000"),
    "a number of bytes": (
        changed(*LOGPROBS, to={"content": [{"token": "4", "bytes": 10**12, "logprob": -0.1}]}),
        "bytes is 1000000000000; allowed: a list",
    ),
    "bytes that are none": (
        changed(*LOGPROBS, to={"content": [{"token": "4", "bytes": [52, None], "logprob": -0.1}]}),
        r"bytes=\[52, None\]; allowed: a list of integers from 0 to 255",
    ),
    "usage that is a list": (changed("usage", to=[1]), r"usage is \[1\]; allowed: an object"),
    "a choice that is none": (changed("choices", to=[None]), "choice is None"),
    # 1CatAI/1Cat-vLLM pull request 47: the tokens of an unfinished thought are charged, and content is empty
    "text that was charged and is not there": (
        changed("choices", 0, to={"text": "", "logprobs": None, "finish_reason": "length"})
        | {"usage": {"prompt_tokens": 7, "completion_tokens": 200}},
        "no text, and 200 tokens counted",
    ),
}


@pytest.mark.parametrize("case", MALFORMED)
def test_a_malformed_answer_is_refused_with_what_is_wrong(case: str) -> None:
    answer, message = MALFORMED[case]
    with pytest.raises(ValueError, match=message):
        completion_of(json.loads(json.dumps(answer)), 2)


def test_deeply_nested_json_is_a_failure(serve: Serve) -> None:
    answers: Iterator[Any] = iter([good()])
    server = serve(lambda path, body: (200, next(answers, "[" * 100_000 + "]" * 100_000)))
    (failure,) = generate(connect(server), [Request("Q", "", 9)])
    assert isinstance(failure, Failure)
    assert "nested too deeply" in failure.reason


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)
PLACES = [
    ("usage",),
    ("choices",),
    ("usage", "completion_tokens"),
    ("usage", "prompt_tokens_details"),
    ("choices", 0),
    ("choices", 0, "text"),
    ("choices", 0, "message"),
    ("choices", 0, "finish_reason"),
    LOGPROBS,
    (*LOGPROBS, "content"),
    (*LOGPROBS, "tokens"),
    (*LOGPROBS, "token_logprobs"),
    (*LOGPROBS, "top_logprobs"),
    (*LOGPROBS, "top_logprobs", 0),
    ("error",),
]


@settings(max_examples=300)
@given(place=st.sampled_from(PLACES), value=JSON)
def test_whatever_an_answer_holds_it_is_a_run_or_a_value_error(place: tuple[str | int, ...], value: Any) -> None:
    try:
        run = completion_of(changed(*place, to=value), 2)
    except ValueError:
        return
    assert run.tokens >= 0
    assert run.prompt_tokens >= 1
    assert (run.logprob <= 0).all()


@pytest.mark.parametrize(
    ("answer", "words", "retryable"),
    [
        # vllm-project/vllm issue 57082: an engine that is being stopped ends an answer so, with status 200
        (changed("choices", 0, "finish_reason", to="abort"), "finish_reason='abort'", True),
        # pydantic/pydantic-ai issue 2844: OpenRouter's own reason, and its errors with status 200
        (changed("choices", 0, "finish_reason", to="error"), "finish_reason='error'", True),
        ({"error": {"code": 502, "message": "Provider returned error"}}, "Provider returned error", True),
        ({"error": {"code": 402, "message": "Insufficient credits"}}, "Insufficient credits", False),
        ({"error": "model is loading"}, "model is loading", False),
        # genkit-ai/genkit pull request 6259: DeepSeek's and Z.AI's reasons, and an error that rides on a choice
        (changed("choices", 0, "finish_reason", to="network_error"), "finish_reason='network_error'", True),
        (changed("choices", 0, "error", to={"code": 502, "message": "upstream is gone"}), "upstream is gone", True),
        (changed("choices", 0, "finish_reason", to="insufficient_system_resource"), "insufficient_system", True),
        # agentjido/req_llm issue 944: what an answer without content may mean
        (changed("choices", 0, "finish_reason", to="content_filter"), "finish_reason='content_filter'", False),
        (changed("choices", 0, "finish_reason", to="tool_calls"), "finish_reason='tool_calls'", False),
        (changed("choices", 0, "finish_reason", to=None), "finish_reason=None; allowed: 'stop'", False),
    ],
)
def test_only_known_reasons_end_a_run(serve: Serve, answer: Any, words: str, retryable: bool) -> None:
    with pytest.raises(AnswerError, match=words):
        completion_of(answer, 2)
    answers = iter([good()])
    (failure,) = generate(connect(serve(lambda *_: (200, next(answers, answer)))), [Request("Q", "", 9)])
    assert isinstance(failure, Failure)
    assert words in failure.reason
    assert failure.retryable is retryable


@pytest.mark.parametrize(
    ("told", "finish"),
    [
        ("stop", "stop"),
        ("eos_token", "stop"),
        ("stop_sequence", "stop"),
        ("length", "length"),
        ("model_length", "length"),
    ],
)
def test_the_known_reasons_of_other_servers(told: str, finish: str) -> None:
    """text-generation-inference, Mistral, and Claude behind OpenRouter (zeitlings/ayai-gpt-nexus issue 2)."""
    assert completion_of(changed("choices", 0, "finish_reason", to=told), 2).finish == finish


def test_an_overload_that_status_200_tells_is_tried_again(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gym_stepwise_routing.generators.attempts._FIRST_PAUSE", 0.01)
    answers = iter([good(), {"error": {"code": 503, "message": "overloaded"}}])
    (run,) = generate(connect(serve(lambda *_: (200, next(answers, good()))), retries=1), [Request("Q", "", 9)])
    assert isinstance(run, Completion)


def test_the_chosen_tokens_own_figure_counts_where_texts_collide() -> None:
    """Two tokens that are parts of a character are both spelt as the replacement character: one key of a mapping."""
    run = completion_of(changed(*LOGPROBS, "top_logprobs", 0, to={"4": -2.5, "b": -3.0}), 2)
    assert run.top[0].tolist() == [-0.1, -2.5]
    assert run.logprob.tolist() == [-0.1, -0.2]
    same = completion_of(changed(*LOGPROBS, "top_logprobs", 0, to={"4": -0.1004, "b": -3.0}), 2)
    assert same.top[0].tolist() == [-0.1004, -3.0]


def test_an_impossible_token_has_no_probability() -> None:
    """A token that is masked has the logarithm minus infinity; one that was chosen cannot have it."""
    run = completion_of(changed(*LOGPROBS, "top_logprobs", 0, "b", to=-np.inf), 3)
    assert run.pieces == ()
    with pytest.raises(ValueError, match="log-probability is -inf"):
        completion_of(changed(*LOGPROBS, "token_logprobs", 0, to=-np.inf), 2)


def test_another_model_that_answers_is_a_failure_and_the_first_is_recorded(serve: Serve) -> None:
    """A name such as OpenRouter's ``auto`` stands for many models; ``model`` of an answer tells which one it was."""
    answers = iter([good(model="tiny-2024"), good(model="tiny-2024")])
    generator = connect(serve(lambda *_: (200, next(answers, good(model="tiny-2025")))))
    assert ("served", "tiny-2024") in generator.info().settings
    (run,) = generate(generator, [Request("Q", "", 9)])
    assert isinstance(run, Completion)
    (failure,) = generate(generator, [Request("Q", "", 9)])
    assert isinstance(failure, Failure)
    assert failure == Failure("tiny: model 'tiny-2025' answered, 'tiny-2024' before", retryable=False)


@contextmanager
def dripping() -> Iterator[str]:
    """A server that answers at once first, and then a byte at a time for as long as anybody reads."""
    listening = socket.create_server(("127.0.0.1", 0))
    head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n\r\n"

    def serve() -> None:
        first = True
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            with connection.makefile("rb") as request:  # all of it: what is left unread resets the connection
                heads = list(iter(request.readline, b"\r\n"))
                request.read(
                    next(int(line.split(b":")[1]) for line in heads if line.lower().startswith(b"content-length"))
                )
            try:
                connection.sendall(head + (json.dumps(good()).encode() if first else b""))
                while not first:
                    connection.sendall(b" ")
                    time.sleep(0.02)
            except OSError:
                pass
            connection.close()
            first = False

    threading.Thread(target=serve, daemon=True).start()
    yield f"http://127.0.0.1:{listening.getsockname()[1]}/v1"
    listening.close()


def test_a_time_out_is_the_time_of_one_attempt_in_all_whatever_drips() -> None:
    with dripping() as url:
        generator = OpenAIGenerator("tiny", base_url=url, api_key="none", retries=0, timeout=60.0)
        generator._timeout = 0.5  # only now: a busy machine may be slow to connect
        begun = time.monotonic()
        (failure,) = generate(generator, [Request("Q", "", 9)])
        assert time.monotonic() - begun < 30  # dripped on it would never end
        generator.close()
    assert isinstance(failure, Failure)
    assert failure.reason.endswith("within 0.5 s")
    assert failure.retryable


def test_retry_after_is_honoured_up_to_a_cap_and_shown(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    waited = []

    async def sleep(seconds: float) -> None:
        waited.append(seconds)

    monkeypatch.setattr("gym_stepwise_routing.generators.openai_server.asyncio.sleep", sleep)
    asks = iter(["7", "3600"])
    server = serve(lambda *_: (200, good()))
    generator = connect(server, retries=2)
    server.answer = lambda *_: (429, {"error": {"message": "slow down"}})
    server.headers = lambda: {"Retry-After": next(asks, "1")}
    (failure,) = generate(generator, [Request("Q", "", 9)])
    assert waited == [7.0, LONGEST_PAUSE]
    assert isinstance(failure, Failure)
    assert "status 429" in failure.reason
    assert failure.reason.endswith("it asked to wait 3600 s, of which 60 s are the most")
    assert "it asked to wait 7 s" in caplog.text


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("12", 12.0),
        ("0.5", 0.5),
        ("-3", 0.0),
        ("nan", None),
        ("soon", None),
        ("Wed, 21 Oct 2026 07:28:00 GMT", 30.0),
        ("Wed, 21 Oct 2025 07:28:00 GMT", 0.0),
    ],
)
def test_retry_after_is_a_number_or_a_date(header: str | None, seconds: float | None) -> None:
    assert asked_seconds(header, now=lambda: datetime(2026, 10, 21, 7, 27, 30, tzinfo=UTC)) == seconds


def test_pauses_double_up_to_the_cap() -> None:
    assert [pause(attempt, None) for attempt in (0, 1, 2, 9, 10_000)] == [0.5, 1.0, 2.0, 60.0, 60.0]
    assert pause(0, float("inf"), longest=8.0) == 8.0
