"""Completions and generators without a model."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import replace

import numpy as np

from gym_stepwise_routing.generators import Completion, Failure, GeneratorInfo, Request


def completion(text: str, *, after: str = "", length: bool = False, pieces: Sequence[str] | None = None) -> Completion:
    """A run that wrote ``text`` and then ``after``, one token a character unless ``pieces`` are given."""
    parts = tuple(pieces if pieces is not None else text + after)
    assert "".join(parts) == text + after
    logprob = -0.01 * np.arange(1, len(parts) + 1)
    top = np.stack([logprob, np.full(len(parts), -6.0)], axis=1) if parts else np.zeros((0, 2))
    return Completion(text, len(parts), parts, logprob, top, "length" if length else "stop", 10)


class FakeGenerator:
    """Writes what a function of the answer so far says; stops like an engine does.

    Args:
        name: its name.
        write: continuation of (prompt, prefix), or a failure.
        tell_tokens: give pieces and log-probabilities, as local engines do.
        prompt_tokens: what it counts for every prompt.
    """

    def __init__(
        self,
        name: str,
        write: Callable[[str, str], str | Failure],
        *,
        tell_tokens: bool = True,
        prompt_tokens: int = 10,
    ) -> None:
        self.name = name
        self.calls: list[Request] = []
        self.cancelled: list[Request] = []
        self.forget: Callable[[Request], bool] = lambda request: False
        """Requests whose tokens it keeps to itself, although it tells those of others."""
        self._write = write
        self._tell = tell_tokens
        self._prompt_tokens = prompt_tokens
        self._waiting: list[tuple[Hashable, Request]] = []

    def info(self) -> GeneratorInfo:
        return GeneratorInfo("fake 1", self.name, 10, None, 4096, 2 if self._tell else 0, "same")

    def count(self, prompts: Sequence[str]) -> list[int]:
        return [len(prompt.split()) for prompt in prompts]

    def submit(self, key: Hashable, request: Request) -> None:
        self.calls.append(request)
        self._waiting.append((key, request))

    def poll(self) -> list[tuple[Hashable, Completion | Failure]]:
        now, self._waiting = self._waiting[:4], self._waiting[4:]
        return [(key, self._run(request)) for key, request in now]

    @property
    def pending(self) -> int:
        return len(self._waiting)

    def cancel(self, key: Hashable) -> None:
        self.cancelled += [request for other, request in self._waiting if other == key]
        self._waiting = [entry for entry in self._waiting if entry[0] != key]

    def close(self) -> None:
        self._waiting.clear()

    def _run(self, request: Request) -> Completion | Failure:
        text = self._write(request.prompt, request.prefix)
        if isinstance(text, Failure):
            return text
        decoded, stopped = text, True
        cut = len(text)
        for end in range(len(text) + 1):
            found = [text[:end].find(stop) for stop in request.stop if stop in text[:end]]
            if found or end >= request.max_tokens:
                decoded, stopped = text[:end], bool(found)
                cut = min(found) if found else end
                break
        result = completion(decoded[:cut], after=decoded[cut:], length=not stopped)
        result = replace(result, prompt_tokens=self._prompt_tokens)
        if self._tell and not self.forget(request):
            return result
        return Completion(
            result.text, max(result.tokens, 1), (), np.zeros(0), np.zeros((0, 0)), result.finish, self._prompt_tokens
        )
