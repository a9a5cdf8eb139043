"""Requests of clients: read, checked, and refused in OpenAI's form where something cannot be honoured."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from gym_stepwise_routing.errors import is_finite
from gym_stepwise_routing.generators.openai_requests import Sampling
from gym_stepwise_routing.serving.asked import Asked

__all__ = ["ClientRequest", "RequestError", "error_body", "read_request"]

Kind = Literal["chat", "text"]
_STOPS = 4  # as many as OpenAI allows
_OWN = ("budget", "hard_budget", "threshold", "target")
_COMMON = {"model", "stream", "stream_options", "max_tokens", "stop", "seed", "user", "n", "temperature", "top_p"}
_KNOWN = _COMMON | {"presence_penalty", "frequency_penalty", "logprobs", "metadata", "store", *_OWN}
_KNOWN_BY_KIND = {
    "chat": _KNOWN | {"messages", "max_completion_tokens", "response_format"},
    "text": _KNOWN | {"prompt", "best_of", "echo"},
}
_NOTHING: dict[str, tuple[Any, ...]] = {
    "n": (None, 1),
    "best_of": (None, 1),
    "echo": (None, False),
    "store": (None, False),
    "logprobs": (None, False),
    "response_format": (None, {"type": "text"}),
}
"""Fields that ask for nothing with these values, and cannot be honoured with any other."""


class RequestError(ValueError):
    """A request that is refused.

    Attributes:
        status: HTTP status.
        param: the field that is at fault, None for none.
        code: short name of the fault.
    """

    def __init__(self, message: str, *, param: str | None = None, status: int = 400, code: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.param = param
        self.code = code


def error_body(message: str, *, status: int, param: str | None = None, code: str | None = None) -> dict[str, Any]:
    """An error in OpenAI's form."""
    kind = {401: "authentication_error", 429: "rate_limit_error"}.get(
        status, "server_error" if status >= 500 else "invalid_request_error"
    )
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


@dataclass(frozen=True, slots=True)
class ClientRequest:
    """A request that can be answered.

    Attributes:
        kind: ``chat`` or ``text`` (plain completion).
        asked: what is asked for.
        stream: whether the answer comes as a stream.
        include_usage: whether the stream ends with a chunk of its own for the usage.
        user: the client's own name for its user, None for none.
    """

    kind: Kind
    asked: Asked
    stream: bool
    include_usage: bool
    user: str | None


def read_request(
    kind: Kind,
    body: bytes,
    headers: Mapping[str, str],
    *,
    id: str,
    models: tuple[str, ...],
    targets: tuple[str, ...],
    takes_messages: bool,
) -> ClientRequest:
    """Check a request.

    Args:
        kind: ``chat`` or ``text``.
        body: the JSON text.
        headers: headers, by lower-case name; ``x-routing-budget``, ``-threshold`` and ``-target`` stand for the fields.
        id: id of the request.
        models: names that a client may ask for.
        targets: targets that a client may ask for.
        takes_messages: whether messages go to the endpoints as they are; else there is one question.

    Raises:
        RequestError: malformed, out of range, or more than can be honoured.
    """
    content = _json(body)
    for name in content:
        if name not in _KNOWN_BY_KIND[kind] and content[name] is not None:
            raise _refused(name, "not supported here", code="unsupported_parameter")
    for name, allowed in _NOTHING.items():
        if content.get(name) not in allowed or (name == "n" and content.get(name) is True):
            raise _refused(name, f"{content[name]!r}; allowed: {allowed[1]!r}", code="unsupported_parameter")
    model = content.get("model")
    if model not in models:
        names = ", ".join(map(repr, models))
        raise RequestError(f"model={model!r}; allowed: {names}", param="model", status=404, code="model_not_found")
    question, messages = _messages(content, takes_messages) if kind == "chat" else (_prompt(content), None)
    own = {name: content.get(name, _header(headers, name)) for name in _OWN}
    target = own["target"] or ""
    if target and target not in targets:
        raise _refused("target", f"{target!r}; allowed: {', '.join(map(repr, targets)) or 'none is configured'}")
    if target and own["threshold"] is not None:
        raise _refused("threshold", f"{own['threshold']!r} with target={target!r}; allowed: one of them")
    stream = _flag(content, "stream")
    options = content.get("stream_options") or {}
    if options and (not stream or not isinstance(options, dict) or set(options) - {"include_usage"}):
        raise _refused("stream_options", f"{options!r}; allowed: include_usage, with stream=true")
    limit = content.get("max_completion_tokens", content.get("max_tokens"))
    if limit is not None and (isinstance(limit, bool) or not isinstance(limit, int) or limit < 1):
        raise _refused("max_tokens", f"{limit!r}; allowed: an integer >= 1")
    asked = Asked(
        id=id,
        question=question,
        messages=messages,
        max_tokens=limit,
        stop=_stops(content.get("stop")),
        sampling=_sampling(content),
        budget=_number("budget", own["budget"]),
        hard_budget=_flag({"hard_budget": own["hard_budget"]}, "hard_budget"),
        threshold=_number("threshold", own["threshold"]),
        target=target,
    )
    return ClientRequest(kind, asked, stream, bool(options.get("include_usage")), _text(content, "user"))


def _json(body: bytes) -> dict[str, Any]:
    try:
        content = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise RequestError(f"the body is no JSON: {type(error).__name__}", code="invalid_json") from None
    if not isinstance(content, dict):
        raise RequestError("the body is no JSON object", code="invalid_json")
    return content


def _refused(name: str, why: str, code: str | None = None) -> RequestError:
    joint = "=" if why[:1] in "'\"{[-0123456789TFN" else ": "
    return RequestError(f"{name}{joint}{why}", param=name, code=code)


def _messages(content: Mapping[str, Any], takes_messages: bool) -> tuple[str, tuple[dict[str, Any], ...] | None]:
    given = content.get("messages")
    if not isinstance(given, list) or not given:
        raise _refused("messages", "missing; allowed: a list with at least one message")
    messages = [_message(index, message) for index, message in enumerate(given)]
    if messages[-1]["role"] != "user":
        raise _refused("messages", "the last one is not the user's; allowed: a list that ends with a user message")
    question = messages[-1]["content"]
    if not question.strip():
        raise _refused("messages", "the last one is empty; allowed: a question")
    if takes_messages:
        return question, tuple(messages)
    if len(messages) != 1:
        raise _refused(
            "messages", f"{len(messages)} of them with a prompt template; allowed: one user message, the question"
        )
    return question, None


def _message(index: int, message: Any) -> dict[str, Any]:
    where = f"messages[{index}]"
    if not isinstance(message, dict) or message.get("role") not in ("system", "developer", "user", "assistant"):
        role = message.get("role") if isinstance(message, dict) else message
        raise _refused("messages", f"{where}.role={role!r}; allowed: system, developer, user, assistant")
    if other := [key for key in message if key not in ("role", "content", "name") and message[key] is not None]:
        raise _refused("messages", f"{where}.{other[0]} is not supported here", code="unsupported_parameter")
    text = message.get("content")
    if isinstance(text, list):
        if any(not isinstance(part, dict) or part.get("type") != "text" for part in text):
            raise _refused(
                "messages", f"{where}.content holds more than text; allowed: text", code="unsupported_content"
            )
        text = "".join(str(part.get("text", "")) for part in text)
    if not isinstance(text, str):
        raise _refused("messages", f"{where}.content is missing; allowed: text")
    return {"role": message["role"], "content": text}


def _prompt(content: Mapping[str, Any]) -> str:
    prompt = content.get("prompt")
    if isinstance(prompt, list) and len(prompt) == 1:
        prompt = prompt[0]
    if not isinstance(prompt, str) or not prompt.strip():
        raise _refused("prompt", "missing, empty, or several; allowed: one text, the question")
    return prompt


def _header(headers: Mapping[str, str], name: str) -> Any:
    text = headers.get(f"x-routing-{name.replace('_', '-')}")
    if text is None or name == "target":
        return text
    if name == "hard_budget":
        if text not in ("true", "false"):
            raise _refused(name, f"{text!r}; allowed: true or false")
        return text == "true"
    try:
        return float(text)
    except ValueError:
        raise _refused(name, f"{text!r}; allowed: a number") from None


def _number(name: str, value: Any) -> float | None:
    if value is None:
        return None
    if not is_finite(value):
        raise _refused(name, f"{value!r:.80}; allowed: a finite number")
    return float(value)


def _flag(content: Mapping[str, Any], name: str) -> bool:
    value = content.get(name)
    if value not in (None, False, True) or (isinstance(value, int | float) and not isinstance(value, bool)):
        raise _refused(name, f"{value!r}; allowed: true or false")
    return bool(value)


def _text(content: Mapping[str, Any], name: str) -> str | None:
    value = content.get(name)
    if value is not None and not isinstance(value, str):
        raise _refused(name, f"{value!r}; allowed: text")
    return value


def _stops(given: Any) -> tuple[str, ...]:
    stops = [given] if isinstance(given, str) else given or []
    if not isinstance(stops, list) or len(stops) > _STOPS or any(not isinstance(s, str) or not s for s in stops):
        raise _refused("stop", f"{given!r}; allowed: a text, or a list of at most {_STOPS} that are not empty")
    return tuple(stops)


def _sampling(content: Mapping[str, Any]) -> Sampling:
    ranges = {"temperature": (0, 2), "top_p": (0, 1), "presence_penalty": (-2, 2), "frequency_penalty": (-2, 2)}
    values: dict[str, Any] = {}
    for name, (low, high) in ranges.items():
        value = _number(name, content.get(name))
        if value is not None and not low <= value <= high:
            raise _refused(name, f"{value!r}; allowed: {low} to {high}")
        values[name] = value
    seed = content.get("seed")
    if seed is not None and (isinstance(seed, bool) or not isinstance(seed, int)):
        raise _refused("seed", f"{seed!r}; allowed: an integer")
    values["temperature"] = values["temperature"] or 0.0
    return Sampling(seed=seed, **values)
