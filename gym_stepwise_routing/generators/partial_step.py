"""One step asked for by itself: where decisions are taken live, and for servers that do not tell their tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from gym_stepwise_routing.generators.generator import Completion, Request
from gym_stepwise_routing.generators.step_rule import StepRule
from gym_stepwise_routing.generators.steps import (
    Ending,
    Step,
    aligned,
    can_be_cut,
    cut_at_answer,
    cut_run,
    read_steps,
    segments,
)
from gym_stepwise_routing.generators.token_classes import TableWords

__all__ = ["PartialStep"]

_MOST_NEWLINES = 2
"""Requests for a step that may come to a newline alone before it is asked for in another way."""
_MOST_PEEK = 8
"""Tokens that may be newlines before a step, where the server tells none."""


class PartialStep:
    """One step that is asked for by itself: the first that :func:`read_steps` would find in a whole run.

    Used where decisions are taken live, and for servers that do not tell their tokens. Several requests may be needed:
    until the step is no longer degenerate, and then, one token at a time, until it is clear that the model goes on. A
    trace that ends after a delimiter ends with this step, and that shows only in what follows. Tokens that were only
    looked at belong to the next step and do not count.

    An empty answer of a server that tells no tokens may be the end, or a newline before the step, as behind a chat
    template that trims its last message. Two tokens, or a few more, asked for without the delimiter to stop at, tell,
    and are the beginning of the step. Where tokens are told and such a template drops the newline again, so that the
    model writes it again, all of the rest is asked for, and its first step is taken.

    Args:
        rule: the step rule; the step must not be the one at the horizon, which is a whole run (:func:`read_steps`).
        history: texts of the steps before.
        words: those of the problem's table, whose tokens have figures of their own.
    """

    def __init__(self, rule: StepRule, history: Sequence[str], words: TableWords | None = None) -> None:
        self.rule = rule
        self.history = tuple(history)
        self._words = words
        self._run: Completion | None = None
        self._limit: int | None = None
        self._looking_ahead = False
        self._empty: Completion | None = None
        self._peek = 2
        self._newlines = 0
        self._all_the_rest = False

    def request(self, prompt: str, max_tokens: int) -> Request:
        """The next request; it stops at the delimiter. ``max_tokens`` is what is left of the model's run."""
        self._limit = max_tokens
        written, tokens = ("", 0) if self._run is None else (self._run.text, self._run.tokens)
        left = 1 if self._looking_ahead else max(max_tokens - tokens, 1)
        prefix, stops = self.rule.prefix(self.history) + written, self.rule.engine_stops
        if self._all_the_rest:
            return Request(prompt, self.rule.prefix(self.history), max_tokens, stops)
        if self._empty is not None:
            return Request(prompt, prefix, self._peek, stops)
        return Request(prompt, prefix, left, (self.rule.delimiter, *stops))

    def add(self, completion: Completion) -> Step | None:
        """Enter a result: the finished step, or None if the model has to go on.

        Where the server tells no tokens at all, the trace is taken to go on; if it had ended, the next step is empty
        and ends it.
        """
        if self._all_the_rest:
            self._all_the_rest, self._run, self._newlines = False, None, -max(self._limit or 0, 1)  # only once
            known = can_be_cut(completion, self.rule, self.history)
            return read_steps(completion, self.rule, self.history, self._words)[0] if known else None
        goes_on = self._looking_ahead
        if self._empty is not None:
            if not completion.text.strip() and completion.finish == "length" and self._peek < _MOST_PEEK:
                self._peek += 1
                return None
            goes_on, completion = (True, completion) if completion.text.strip() else (False, self._empty)
            decoded, self._empty = completion.text, None
        elif self._says_nothing(completion):
            self._empty = completion
            return None
        else:
            decoded = self._decoded(completion)
        run = self._run = _joined(self._run, completion, decoded)
        stop = self.rule.start_of_stop(run.text)
        run = replace(run, text=run.text[:stop])
        run, answered = cut_at_answer(run, self.rule, self.history)
        over: Ending = "answer" if answered else "stop" if stop is not None else ""
        over = over or self._over(completion, decoded, goes_on)
        self._newlines += not decoded.strip()
        self._all_the_rest = self._newlines > _MOST_NEWLINES and bool(run.pieces) and not over
        if not over and not self._complete(run.text):
            return None
        if not over and run.pieces and self._may_end_here(run.text):
            self._looking_ahead = True
            return None
        return cut_run(run, self.rule, self.history, over, self._words)[0]

    def _says_nothing(self, completion: Completion) -> bool:
        """Whether an answer tells neither text nor tokens, before the step or behind it."""
        told = not completion.tokens or completion.text.strip() or completion.pieces or completion.finish == "length"
        return not told and (self._run is None or self._looking_ahead or not self._run.text.strip())

    def _decoded(self, completion: Completion) -> str:
        """All that was decoded, with what ended it: where a server hides that, the delimiter is the best guess."""
        decoded = "".join(aligned(completion).pieces) or completion.text
        told = len(completion.pieces) >= completion.tokens or completion.finish == "length"
        return decoded if told or not completion.text else completion.text + self.rule.delimiter

    def _over(self, completion: Completion, decoded: str, goes_on: bool) -> Ending:
        assert self._run is not None
        if self._limit is not None and self._run.tokens >= self._limit:
            return "length"
        if completion.finish == "length":
            return "" if goes_on else "length"
        return "" if decoded[len(completion.text) :].startswith(self.rule.delimiter) else "stop"

    def _complete(self, text: str) -> bool:
        ranges = segments(text, self.rule)
        first = text[slice(*ranges[0])] if ranges else ""
        tail = first[len(first.rstrip()) :]  # newlines before the step end nothing
        return self.rule.end_of_step(tail) is not None and not self.rule.is_degenerate(first)

    def _may_end_here(self, text: str) -> bool:
        """Whether what follows the first step is still nothing, or may turn out to be a stop string."""
        end = segments(text, self.rule)[0][1]
        if not text[end:].strip() or any(label.startswith(text[end:]) for label in self.rule.labels):
            return True
        return any(
            stop.startswith(text[start:])
            for stop in self.rule.stop
            for start in range(max(0, len(text) - len(stop)), end + 1)
        )


def _joined(run: Completion | None, part: Completion, decoded: str) -> Completion:
    """A run and the part that goes on with it; the text is all that was decoded.

    Tokens are known in all of it or not at all: text that the server tells no tokens of would shift all that follows.
    """
    part = aligned(replace(part, text=decoded))
    if run is None:
        return part
    if run.pieces and not part.pieces and not decoded:  # a hidden stop word alone shifts nothing
        part = replace(part, pieces=("",) * part.tokens, logprob=np.full(part.tokens, np.nan))
        part = replace(part, top=np.full((part.tokens, run.top.shape[1]), np.nan))
    told = [piece for piece in (run, part) if piece.tokens]
    known = all(piece.pieces for piece in told)
    return replace(
        part,
        text=run.text + decoded,
        tokens=run.tokens + part.tokens,
        pieces=run.pieces + part.pieces if known else (),
        logprob=np.concatenate([piece.logprob for piece in told]) if known else np.zeros(0),
        top=np.concatenate([piece.top for piece in told]) if known else np.zeros((0, 0)),
    )
