"""Answers in OpenAI's form, whole or in chunks, with what the routing did beside them."""

from __future__ import annotations

import json
import time
from typing import Any

from gym_stepwise_routing.serving.answering import Answering
from gym_stepwise_routing.serving.client_requests import ClientRequest

__all__ = ["AnswerForm"]


class AnswerForm:
    """Builds the JSON of one answer.

    Args:
        request: what was asked.
        model: name that the client asked for.
    """

    def __init__(self, request: ClientRequest, model: str) -> None:
        self._chat = request.kind == "chat"
        self._request = request
        self._head = {"id": request.asked.id, "created": int(time.time()), "model": model}
        self._begun = False

    def whole(self, answering: Answering) -> dict[str, Any]:
        """The whole answer."""
        choice: dict[str, Any] = {"index": 0, "finish_reason": answering.finish, "logprobs": None}
        if self._chat:
            choice["message"] = {"role": "assistant", "content": answering.text, "refusal": None}
        else:
            choice["text"] = answering.text
        kind = "chat.completion" if self._chat else "text_completion"
        return {**self._head, "object": kind, "choices": [choice], **self._account(answering)}

    def piece(self, text: str) -> bytes:
        """A chunk with a piece of text."""
        return self._chunk([self._choice(text, None)])

    def end(self, answering: Answering) -> bytes:
        """The last chunks: why it ended, then usage and routing."""
        choice = self._choice("", answering.finish)
        account = self._account(answering)
        if self._request.include_usage:
            return self._chunk([choice]) + self._chunk([], **account) + b"data: [DONE]\n\n"
        return self._chunk([choice], **account) + b"data: [DONE]\n\n"

    def broken(self, error: dict[str, Any]) -> bytes:
        """The last event of a stream that cannot go on."""
        return b"data: " + json.dumps(error).encode() + b"\n\n"

    def _account(self, answering: Answering) -> dict[str, Any]:
        return {"usage": answering.usage, "routing": answering.routing()}

    def _choice(self, text: str, finish: str | None) -> dict[str, Any]:
        if not self._chat:
            return {"index": 0, "text": text, "finish_reason": finish, "logprobs": None}
        delta: dict[str, Any] = {"content": text} if text else {}
        if not self._begun:
            self._begun = True
            delta = {"role": "assistant", "content": text}
        return {"index": 0, "delta": delta, "finish_reason": finish, "logprobs": None}

    def _chunk(self, choices: list[dict[str, Any]], **more: Any) -> bytes:
        kind = "chat.completion.chunk" if self._chat else "text_completion"
        content = {**self._head, "object": kind, "choices": choices, **more}
        return b"data: " + json.dumps(content, ensure_ascii=False).encode() + b"\n\n"
