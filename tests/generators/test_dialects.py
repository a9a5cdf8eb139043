"""Servers that want to be asked otherwise than most, by the refusals that public reports show of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from fake_servers import Answer, FakeLlamaCpp, Server

from gym_stepwise_routing.generators import Completion, PartialStep, Request, StepRule, generate

pytest.importorskip("openai")

from gym_stepwise_routing.generators.openai_server import OpenAIGenerator

Serve = Callable[[Answer], Server]
TEXT = "Two and two\nmake four\nso it is 4\n"
RULE = StepRule(stop=(), answer=None, horizon=9)


class Model(FakeLlamaCpp):
    """A model that reads a blank line as it does the end of a line."""

    def goes_on(self, so_far: str) -> str:
        return super().goes_on(so_far.replace("\n\n", "\n"))


class Wants:
    """A server that refuses a request unless it is put as it wants, and then answers as llama.cpp's does."""

    def __init__(self, refuses: Callable[[dict[str, Any]], str | None], status: int = 400, **options: Any) -> None:
        self.refuses, self.status, self.real = refuses, status, Model(TEXT, **options)

    def __call__(self, path: str, body: dict[str, Any]) -> tuple[int, Any]:
        if words := self.refuses(body):
            return self.status, {"error": {"message": words}}
        body = {"max_tokens": body.get("max_completion_tokens"), **body}
        code, answer = self.real(path, body)
        message = answer["choices"][0].get("message", {})
        last = body.get("messages", [{}])[-1]
        if last.get("role") == "assistant":  # the copy is llama.cpp's own habit
            message["content"] = message["content"].removeprefix(last["content"])
        return code, answer


def connect(server: Server, continuation: Any) -> OpenAIGenerator:
    return OpenAIGenerator("tiny", base_url=server.url, api_key="none", continuation=continuation, retries=0)


def texts(generator: OpenAIGenerator) -> list[str]:
    """A whole trace, one step asked for at a time."""
    steps: list[str] = []
    ended = False
    while not ended:
        partial, step = PartialStep(RULE, steps), None
        while step is None:
            (run,) = generate(generator, [partial.request("Q", 40)])
            assert isinstance(run, Completion), run
            step = partial.add(run)
        steps.append(step.text)
        ended = bool(step.ending)
        assert len(steps) < RULE.horizon
    return [step for step in steps if step]


def test_max_completion_tokens_where_the_refusal_names_it(serve: Serve) -> None:
    """teilomillet/gollm issue 33: OpenAI's newer models."""
    words = "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead."
    server = serve(Wants(lambda body: words if "max_tokens" in body else None))
    generator = connect(server, "ask")
    assert ("limit", "max_completion_tokens") in generator.info().settings
    (run,) = generate(generator, [Request("Q", "", 3)])
    assert isinstance(run, Completion)
    assert server.requests[-1][1]["max_completion_tokens"] == 3


@pytest.mark.parametrize(
    "words",
    [
        # NEKOparapa/AiNiee issue 641, Mistral
        "Expected last role User or Tool (or Assistant with prefix True) for serving but got assistant",
        # gptme/gptme issue 467, DeepSeek
        "The last message of deepseek-reasoner must be a user message, or an assistant message with prefix mode on",
    ],
)
def test_a_half_written_answer_is_marked_where_the_refusal_asks_for_it(serve: Serve, words: str) -> None:
    def refuses(body: dict[str, Any]) -> str | None:
        last = body["messages"][-1]
        return words if last["role"] == "assistant" and not last.get("prefix") else None

    generator = connect(serve(Wants(refuses)), "prefill")
    assert ("marks_prefix", "True") in generator.info().settings
    assert texts(generator) == TEXT.splitlines()


@pytest.mark.parametrize("logprobs", [True, False])
def test_an_answer_that_may_not_end_in_a_newline(serve: Serve, logprobs: bool) -> None:
    """tailcallhq/forgecode issue 1872, Anthropic; it tells no log-probabilities."""
    words = "messages: final assistant content cannot end with trailing whitespace"

    def refuses(body: dict[str, Any]) -> str | None:
        last = body["messages"][-1]
        return words if last["role"] == "assistant" and last["content"] != last["content"].rstrip() else None

    generator = connect(serve(Wants(refuses, logprobs=logprobs)), "prefill")
    assert ("trims_prefix", "True") in generator.info().settings
    assert texts(generator) == TEXT.splitlines()


@pytest.mark.parametrize(("status", "offered"), [(403, 0), (400, 0)])
def test_a_refusal_that_speaks_of_log_probabilities_is_asked_again_without_them(
    serve: Serve, status: int, offered: int
) -> None:
    words = "You are not allowed to request logprobs from this model"
    server = serve(Wants(lambda body: words if "logprobs" in body else None, status, logprobs=False))
    assert connect(server, "raw").info().top_logprobs == offered


def test_a_refusal_for_another_reason_is_told(serve: Serve) -> None:
    server = serve(Wants(lambda body: "your account is closed", 403))
    with pytest.raises(ValueError, match=r"status 403.*your account is closed"):
        connect(server, "raw")
    assert len(server.requests) == 1
