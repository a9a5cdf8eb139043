"""One answer gathered from the chunks of an endpoint's stream."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from gym_stepwise_routing.grading.thoughts import THINK, THOUGHT

__all__ = ["GatheredAnswer", "UsageChunk"]

UsageChunk = Literal["", "own", "last"]
"""Where a stream counts its tokens: nowhere (yet), in a chunk of its own, or in the last one of the text."""


class GatheredAnswer:
    """The chunks of a stream, put together into the answer that the server would have given at once.

    Args:
        copied: text that it begins with and that is no news: the copy of what the server continues, if it sends one.
        opened: what it continues ends in a thought, which is not opened again.
    """

    def __init__(self, copied: str = "", *, opened: bool = False) -> None:
        self._opened, self._thinking = opened, False
        self.usage_chunk: UsageChunk = ""
        self._copied = copied
        self.text = ""
        """The text so far."""
        self._chat: list[Any] = []
        self._plain: dict[str, list[Any]] = {"tokens": [], "token_logprobs": [], "top_logprobs": []}
        self._finish: str | None = None
        self._usage: Mapping[str, Any] | None = None

    def add(self, chunk: Mapping[str, Any]) -> bool:
        """Enter a chunk and return whether there is news.

        Raises:
            ValueError: the server tells an error in the stream, or sends no copy where it should.
        """
        if "error" in chunk:
            raise ValueError(f"the stream ended with an error: {str(chunk['error'])[:200]}")
        choices = chunk.get("choices")
        if chunk.get("usage"):
            self._usage, self.usage_chunk = chunk["usage"], "last" if choices else "own"
        if not choices:
            return False
        choice = choices[0]
        self._finish = choice.get("finish_reason") or self._finish
        delta = choice.get("delta")
        text = (delta.get("content") if delta is not None else choice.get("text")) or ""
        text = self._thought(delta or {}) + self._after_thought(text)
        self.text += text
        if self._copied and not (self.text.startswith(self._copied) or self._copied.startswith(self.text)):
            raise ValueError("it does not begin with a copy of what it continues, as it did before")
        if logprobs := choice.get("logprobs"):
            self._chat += logprobs.get("content") or ()
            for name, values in self._plain.items():
                values += logprobs.get(name) or ()
        return bool(text and self.news)

    def _thought(self, delta: Mapping[str, Any]) -> str:
        """What a chunk adds to a thought that is told apart from the answer."""
        told = delta.get("reasoning_content") or delta.get("reasoning") or ""
        if not told or self._thinking:
            return str(told)
        self._thinking = True
        return str(told) if self._opened else f"{THINK}\n{told}"

    def _after_thought(self, text: str) -> str:
        """Text of the answer, after the end of the thought where one was told."""
        if not text or not self._thinking:
            return text
        self._thinking = False
        return f"\n{THOUGHT}\n\n{text.lstrip()}"

    @property
    def news(self) -> str:
        """The text so far without the copy."""
        return self.text[len(self._copied) :]

    @property
    def finished(self) -> bool:
        """Whether the server has told why the text ends."""
        return self._finish is not None

    @property
    def tokens(self) -> int | None:
        """Tokens so far as the log-probabilities show them; None where the server gives none."""
        return (len(self._chat) or len(self._plain["tokens"])) or None

    def answer(self) -> dict[str, Any]:
        """The answer in the form of ``/completions``, to be read like any other."""
        logprobs: dict[str, Any] | None = None
        if self._chat:
            cut = self._finish == "stop" and _is_cut(self._chat[-1])
            logprobs = {"content": self._chat[:-1] if cut else self._chat}
        elif self._plain["tokens"]:
            logprobs = dict(self._plain)
        choice = {"text": self.text, "logprobs": logprobs, "finish_reason": self._finish}
        return {"choices": [choice], "usage": self._usage}


def _is_cut(entry: Mapping[str, Any]) -> bool:
    """Whether a token is one in which a stop string begins, cut to the text before it.

    llama.cpp's streams tell such a token, as if the model had ended by itself; its whole answers leave it out. Among
    the most likely tokens it stands uncut, under the same id. One that is not among them has text, which the end of a
    model's text has not.
    """
    if "id" not in entry:
        return False
    uncut = [other.get("token") for other in entry.get("top_logprobs") or () if other.get("id") == entry["id"]]
    return uncut[0] != entry.get("token") if uncut else bool(entry.get("token"))
