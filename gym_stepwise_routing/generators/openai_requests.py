"""What goes over the wire to an OpenAI-compatible server: path and body of a request to go on with an answer."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Literal, get_args

from gym_stepwise_routing.generators.chat import NO_CHAT_FORM, ChatForm
from gym_stepwise_routing.generators.sampling import Sampling

__all__ = ["CONTINUATIONS", "OPEN_MESSAGE", "Continuation", "Dialect", "Message", "Sampling", "body_of"]

Continuation = Literal["raw", "continue_final_message", "prefill", "ask"]
CONTINUATIONS: tuple[Continuation, ...] = get_args(Continuation)
"""How a model is made to go on with a half-written answer.

========================== ======================================================================================
``raw``                    plain completion of prompt and prefix (``/completions``)
``continue_final_message`` chat; the prefix is an open assistant message (vLLM, SGLang)
``prefill``                chat; a trailing assistant message is continued by itself (llama.cpp, some closed ones)
``ask``                    chat; the prefix is a closed assistant message, then a request to go on (any other)
========================== ======================================================================================
"""
OPEN_MESSAGE: tuple[Continuation, ...] = ("continue_final_message", "prefill")
"""Those that need a server which leaves the last message open."""
_GO_ON = "Continue exactly where you stopped. Do not repeat anything and do not comment."

Message = Mapping[str, Any]
_WANTS_PREFIX = re.compile(r"prefix(?: true|['\"]?: ?true| mode)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Dialect:
    """What a server wants otherwise than most; found out from its refusals.

    Attributes:
        limit: the field of the token limit: ``max_completion_tokens`` for newer models of OpenAI.
        marks_prefix: a half-written answer is marked by ``"prefix": true`` (Mistral, DeepSeek).
        trims_prefix: a half-written answer must not end in white space (Anthropic); the newline that ends a step is
            left out, and the model writes it again.
    """

    limit: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    marks_prefix: bool = False
    trims_prefix: bool = False

    def after(self, refusal: str) -> Dialect | None:
        """The dialect that a refusal asks for; None where it asks for nothing that is known and not yet tried."""
        asked = self
        if "max_completion_tokens" in refusal:
            asked = replace(asked, limit="max_completion_tokens")
        if _WANTS_PREFIX.search(refusal):
            asked = replace(asked, marks_prefix=True)
        if "trailing whitespace" in refusal:
            asked = replace(asked, trims_prefix=True)
        return None if asked == self else asked

    def settings(self) -> tuple[tuple[str, str], ...]:
        """What differs from most servers, as text."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return tuple((name, str(value)) for name, value in values.items() if value != getattr(Dialect(), name))


def body_of(
    continuation: Continuation,
    *,
    model: str,
    prompt: str | Sequence[Message],
    prefix: str,
    max_tokens: int,
    stop: Sequence[str],
    sampling: Sampling,
    top_logprobs: int,
    stream: bool,
    dialect: Dialect = Dialect(),
    form: ChatForm = NO_CHAT_FORM,
) -> tuple[str, dict[str, Any]]:
    """Path and body of a request to go on with a half-written answer, in the endpoint's own way."""
    body: dict[str, Any] = {"model": model, dialect.limit: max_tokens, **sampling.fields()}
    if stop:
        body["stop"] = list(stop)
    if stream:
        body |= {"stream": True, "stream_options": {"include_usage": True}}
    if continuation == "raw":
        assert isinstance(prompt, str)
        body["prompt"] = prompt + prefix
        return "/completions", body | ({"logprobs": top_logprobs} if top_logprobs else {})
    messages: list[Message] = list(form.messages(prompt) if isinstance(prompt, str) else prompt)
    if form.arguments:
        body["chat_template_kwargs"] = dict(form.arguments)
    if prefix:
        begun: dict[str, Any] = {"role": "assistant", "content": prefix.rstrip() if dialect.trims_prefix else prefix}
        messages.append(begun | ({"prefix": True} if dialect.marks_prefix and continuation in OPEN_MESSAGE else {}))
        if continuation == "continue_final_message":
            body |= {"continue_final_message": True, "add_generation_prompt": False}
        elif continuation == "ask":
            messages.append({"role": "user", "content": _GO_ON})
    body["messages"] = messages
    return "/chat/completions", body | ({"logprobs": True, "top_logprobs": top_logprobs} if top_logprobs else {})
