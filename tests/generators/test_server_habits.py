"""What llama.cpp's server and transformers serve were measured to do, against fakes that do it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from fake_servers import Answer, FakeLlamaCpp, FakeTransformersServe, Server

from gym_stepwise_routing.generators import Completion, Failure, PartialStep, Request, Step, StepRule, generate
from gym_stepwise_routing.generators.openai_answers import completion_of

pytest.importorskip("openai")

from gym_stepwise_routing.generators.openai_server import OpenAIGenerator

Serve = Callable[[Answer], Server]
LINES = ["Two and two", "make four", "Two and two", "so it is 4"]
TEXT = "\n".join(LINES) + "\n"
RULE = StepRule(answer=None, horizon=9)
OPEN = ("prefill", "continue_final_message")


def connect(server: Server, continuation: Any = "raw", **options: Any) -> OpenAIGenerator:
    return OpenAIGenerator("tiny", base_url=server.url, api_key="none", continuation=continuation, retries=0, **options)


def walk(generator: OpenAIGenerator, prompt: str) -> list[Step]:
    """A whole trace, one step asked for at a time."""
    steps: list[Step] = []
    while not steps or not steps[-1].ending:
        partial, step = PartialStep(RULE, [step.text for step in steps]), None
        while step is None:
            (run,) = generate(generator, [partial.request(prompt, 40)])
            assert isinstance(run, Completion), run
            step = partial.add(run)
        steps.append(step)
        assert len(steps) <= len(LINES) + 1
    return steps


def test_a_batch_is_one_prompt_a_request_and_its_tokens_add_up(serve: Serve) -> None:
    """llama.cpp's usage of a request with several prompts is that of the first alone."""
    server = serve(FakeLlamaCpp(TEXT))
    prefixes = ["", "Two and two\n", "Two and two\nmake four\n"]
    runs = generate(connect(server), [Request("Q\nA:\n", prefix, 40) for prefix in prefixes])
    assert all(isinstance(body["prompt"], str) for _, body in server.requests)
    # words, newlines and the end of the text; the whole text has 12 words and 4 newlines
    assert [run.tokens for run in runs if isinstance(run, Completion)] == [17, 13, 10]
    _, both = FakeLlamaCpp(TEXT)("/v1/completions", {"prompt": ["Q\nA:\n"] * 2, "max_tokens": 9, "logprobs": 2})
    assert both["usage"]["completion_tokens"] == 9
    with pytest.raises(ValueError, match="2 choices; allowed: 1"):
        completion_of(both, 2)


def test_usage_that_counts_fewer_tokens_than_are_told_is_refused() -> None:
    _, answer = FakeLlamaCpp(TEXT)("/v1/completions", {"prompt": "Q\nA:\n", "max_tokens": 9, "logprobs": 2})
    answer["usage"]["completion_tokens"] = 5
    with pytest.raises(ValueError, match="usage counts 5 tokens, and the log-probabilities tell 9"):
        completion_of(answer, 2)


@pytest.mark.parametrize(
    ("usage", "cached"),
    [
        ({}, None),
        ({"prompt_tokens_details": {"cached_tokens": 5}}, 5),
        # DeepSeek's documented field (api-docs.deepseek.com, create chat completion); gateways add OpenAI's beside it
        ({"prompt_cache_hit_tokens": 6, "prompt_cache_miss_tokens": 3}, 6),
        ({"prompt_tokens_details": {"cached_tokens": 5}, "prompt_cache_hit_tokens": 6}, 5),
        ({"prompt_tokens_details": {"cached_tokens": None}, "prompt_cache_hit_tokens": 0}, 0),
    ],
)
def test_cached_tokens_are_read_in_both_forms(usage: dict[str, Any], cached: int | None) -> None:
    _, answer = FakeLlamaCpp(TEXT)("/v1/completions", {"prompt": "Q\nA:\n", "max_tokens": 4, "logprobs": 2})
    answer["usage"] = {name: answer["usage"][name] for name in ("prompt_tokens", "completion_tokens")} | usage
    assert completion_of(answer, 2).cached_tokens == cached


@pytest.mark.parametrize("count", [-1, "6", 2.0, True])
def test_a_count_of_cached_tokens_that_cannot_be_is_refused(count: object) -> None:
    _, answer = FakeLlamaCpp(TEXT)("/v1/completions", {"prompt": "Q\nA:\n", "max_tokens": 4, "logprobs": 2})
    answer["usage"]["prompt_cache_hit_tokens"] = count
    answer["usage"].pop("prompt_tokens_details", None)
    with pytest.raises(ValueError, match=rf"prompt_cache_hit_tokens is {count!r}; allowed: 0 to"):
        completion_of(answer, 2)


def test_both_forms_of_log_probabilities_read_alike() -> None:
    _, chat_form = FakeLlamaCpp(TEXT)("/v1/completions", {"prompt": "Q\nA:\n", "max_tokens": 4, "logprobs": 2})
    (choice,) = chat_form["choices"]
    rows = choice["logprobs"]["content"]
    legacy = {
        "tokens": [row["token"] for row in rows],
        "token_logprobs": [row["logprob"] for row in rows],
        "top_logprobs": [{top["token"]: top["logprob"] for top in row["top_logprobs"]} for row in rows],
    }
    one, other = completion_of(chat_form, 2), completion_of(chat_form | {"choices": [choice | {"logprobs": legacy}]}, 2)
    assert one.pieces == other.pieces == ("Two", " and", " two", "\n")
    np.testing.assert_array_equal(one.logprob, other.logprob)
    np.testing.assert_array_equal(one.top, other.top)


@pytest.mark.parametrize("logprobs", [True, False])
@pytest.mark.parametrize("continuation", ["raw", *OPEN])
def test_no_step_is_doubled_where_the_answer_repeats_what_it_continues(
    serve: Serve, continuation: str, logprobs: bool
) -> None:
    """The text says one line twice by itself, which must stay."""
    generator = connect(serve(FakeLlamaCpp(TEXT, logprobs=logprobs)), continuation)
    steps = walk(generator, "Q\nA:\n")
    assert [step.text for step in steps if step.text] == LINES
    assert sum(step.tokens for step in steps) == 17
    assert all((step.confidence is not None) == logprobs for step in steps if step.text)


@pytest.mark.parametrize("continuation", OPEN)
def test_a_continuation_is_the_new_text_with_its_own_tokens(serve: Serve, continuation: str) -> None:
    server = serve(FakeLlamaCpp(TEXT))
    generator = connect(server, continuation)
    (run,) = generate(generator, [Request("Q\n", "Two and two\n", 40, ("\n",))])
    assert isinstance(run, Completion)
    assert (run.text, run.tokens, run.pieces, run.finish) == ("make four", 3, ("make", " four"), "stop")
    assert server.requests[-1][1]["messages"][-1] == {"role": "assistant", "content": "Two and two\n"}
    (cut,) = generate(generator, [Request("Q\n", "Two and tw", 40, ("\n",))])  # in the middle of a word: no tokens fit
    assert isinstance(cut, Completion)
    assert cut.text == "o"


def answer_of(text: str, tokens: list[str], decoded: int) -> dict[str, Any]:
    rows = [{"token": t, "logprob": -0.1, "top_logprobs": [{"logprob": -0.1}, {"logprob": -3.0}]} for t in tokens]
    choice = {"message": {"content": text}, "logprobs": {"content": rows} if rows else None, "finish_reason": "stop"}
    return {"choices": [choice], "usage": {"prompt_tokens": 1, "completion_tokens": decoded}}


@pytest.mark.parametrize(
    ("text", "tokens", "decoded", "echoes", "expected"),
    [
        ("a\nb", ["b"], 1, True, "b"),
        ("a\nb", ["b"], 1, False, "b"),  # the tokens tell, whatever was found out before
        ("a\nb", ["a", "\n", "b"], 3, False, "a\nb"),  # the model wrote the line again by itself
        ("a\nb", ["a", "\n", "b"], 3, True, "a\nb"),
        ("a\na\nb", ["a", "\n", "b"], 3, True, "a\nb"),  # once, not twice
        ("a\na\n", ["a", "\n"], 3, True, "a\n"),  # both would fit with a hidden stop word: the habit decides
        ("a\nb", [], 1, True, "b"),
        ("a\nb", [], 3, False, "a\nb"),
        ("a\n", [], 1, True, ""),
        ("", [], 1, True, ""),
    ],
)
def test_the_copy_comes_off_once(text: str, tokens: list[str], decoded: int, echoes: bool, expected: str) -> None:
    run = completion_of(answer_of(text, tokens, decoded), 2, prefix="a\n", echoes=echoes)
    assert run.text == expected
    assert run.has_logprobs == bool(tokens)


def test_a_copy_that_is_another_text_is_no_answer() -> None:
    with pytest.raises(ValueError, match="should begin with a copy of what it continues, and begins with 'A B'"):
        completion_of(answer_of("A B", [], 2), 2, prefix="a\n", echoes=True)


def test_a_copy_without_its_newline_is_refused(serve: Serve) -> None:
    real = FakeLlamaCpp(TEXT)

    def trims(path: str, body: dict[str, Any]) -> tuple[int, Any]:
        for message in body["messages"]:
            message["content"] = message["content"].rstrip()
        return real(path, body)

    (failure,) = generate(connect(serve(trims), "prefill"), [Request("Q\n", "Two and two\n", 40, ("\n",))])
    assert isinstance(failure, Failure)
    assert "copy of what it continues" in failure.reason


def test_a_server_that_closes_the_message_is_refused(serve: Serve) -> None:
    server = serve(FakeTransformersServe(TEXT))
    with pytest.raises(ValueError, match=r"continuation='prefill'.*closes a half-written answer \(6 tokens more\)"):
        connect(server, "prefill")
    with pytest.raises(ValueError, match=r"continue_final_message.*status 422.*Unexpected fields"):
        connect(server, "continue_final_message")
    generator = connect(server, "raw")
    assert generator.info().top_logprobs == 0
    assert [step.text for step in walk(generator, "Q\nA:\n") if step.text] == LINES


def test_a_refusal_tells_the_reason_that_the_server_gives(serve: Serve) -> None:
    answers = iter([FakeLlamaCpp(TEXT)("/v1/completions", {"prompt": "Q", "max_tokens": 1})])
    server = serve(lambda path, body: next(answers, (422, {"detail": "Unexpected fields: top_k"})))
    (failure,) = generate(connect(server), [Request("Q", "", 9)])
    assert isinstance(failure, Failure)
    assert "Unexpected fields: top_k" in failure.reason
