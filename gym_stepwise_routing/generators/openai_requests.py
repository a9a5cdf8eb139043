"""What goes over the wire to an OpenAI-compatible server: path and body of a request to go on with an answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

__all__ = ["CONTINUATIONS", "OPEN_MESSAGE", "Continuation", "Message", "Sampling", "body_of"]

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


@dataclass(frozen=True, slots=True)
class Sampling:
    """How tokens are drawn; what is None is left to the endpoint, but for the temperature, which is 0 by default."""

    temperature: float = 0.0
    top_p: float | None = None
    seed: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None

    def fields(self) -> dict[str, Any]:
        """The fields of a request."""
        values = {name: getattr(self, name) for name in self.__slots__}
        return {name: value for name, value in values.items() if value is not None}


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
) -> tuple[str, dict[str, Any]]:
    """Path and body of a request to go on with a half-written answer, in the endpoint's own way."""
    body: dict[str, Any] = {"model": model, "max_tokens": max_tokens, **sampling.fields()}
    if stop:
        body["stop"] = list(stop)
    if stream:
        body |= {"stream": True, "stream_options": {"include_usage": True}}
    if continuation == "raw":
        assert isinstance(prompt, str)
        body["prompt"] = prompt + prefix
        return "/completions", body | ({"logprobs": top_logprobs} if top_logprobs else {})
    messages: list[Message] = [{"role": "user", "content": prompt}] if isinstance(prompt, str) else list(prompt)
    if prefix:
        messages.append({"role": "assistant", "content": prefix})
        if continuation == "continue_final_message":
            body |= {"continue_final_message": True, "add_generation_prompt": False}
        elif continuation == "ask":
            messages.append({"role": "user", "content": _GO_ON})
    body["messages"] = messages
    return "/chat/completions", body | ({"logprobs": True, "top_logprobs": top_logprobs} if top_logprobs else {})
