"""Text cut into steps by a step rule: whole runs, or one step at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from gym_stepwise_routing.generators.generator import Completion, Request
from gym_stepwise_routing.generators.step_rule import StepRule
from gym_stepwise_routing.generators.token_confidence import StepConfidence, token_confidence

__all__ = ["Ending", "PartialStep", "Step", "can_be_cut", "read_steps", "settled_text"]

_MOST_NEWLINES = 2
"""Requests for a step that may come to a newline alone before it is asked for in another way."""
_PEEK = 8
"""Tokens that show whether an empty answer was a newline before the step."""

Ending = Literal["", "stop", "answer", "length", "repetition"]
"""Why a trace ended with a step (end of text or stop string, answer marker, token limit, repetition), or ''."""


@dataclass(frozen=True, slots=True)
class Step:
    """One step.

    Attributes:
        text: text without surrounding white space.
        tokens: decoded tokens, the delimiter included.
        first_tokens: tokens that the figures are taken over: all of them, but for those that a server hides, and for
            those after the first unit where the step is the tail at the horizon.
        confidence: figures over those ``first_tokens``; None where the engine gave none or the model stopped at once.
        ending: why the trace ended here, or ''.
    """

    text: str
    tokens: int
    first_tokens: int
    confidence: StepConfidence | None
    ending: Ending


def _segments(text: str, rule: StepRule) -> list[tuple[int, int]]:
    """Character ranges of the steps, delimiters included, degenerate ones merged."""
    ranges: list[tuple[int, int]] = []
    start = position = 0
    while position < len(text):
        position = end = rule.end_of_step(text, position) or len(text)
        if not rule.is_degenerate(text[start:end]):
            ranges.append((start, end))
            start = end
    if start < len(text):  # what is short but last stands alone: whoever wrote the step before could not know of it
        if ranges and not text[start:].strip():
            ranges[-1] = (ranges[-1][0], len(text))
        else:
            ranges.append((start, len(text)))
    return ranges


def _token_ends(completion: Completion, ranges: Sequence[tuple[int, int]]) -> list[int]:
    """Index after the last token of each range; a token belongs to the range in which its first character stands."""
    ends = [_tokens_before(completion.pieces, stop) for _, stop in ranges]
    return [*ends[:-1], completion.tokens]


def _tokens_before(pieces: Sequence[str], position: int) -> int:
    """How many tokens start before a character position."""
    start = 0
    for token, piece in enumerate(pieces):
        if start >= position:
            return token
        start += len(piece)
    return len(pieces)


def _cut_at_answer(completion: Completion, rule: StepRule, history: Sequence[str]) -> tuple[Completion, bool]:
    """A run up to and with its first stated answer, and whether it has one."""
    end = rule.end_of_answer(completion.text, rule.prefix(history))
    return (completion, False) if end is None else (_cut_at(completion, end), True)


def _cut_at_stop(completion: Completion, rule: StepRule) -> Completion:
    """A run up to its first stop string, where the engine knows only one spelling of line ends and went on."""
    start = rule.start_of_stop(completion.text)
    return completion if start is None else replace(_cut_at(completion, start), finish="stop")


def _cut_at(completion: Completion, end: int) -> Completion:
    """A run without the characters, and the tokens, from ``end`` on."""
    text = completion.text[:end]
    if not completion.pieces:  # all that was decoded is paid for where single tokens are unknown
        return replace(completion, text=text)
    count = _tokens_before(completion.pieces, end)
    pieces, logprob, top = completion.pieces[:count], completion.logprob[:count], completion.top[:count]
    return replace(completion, text=text, tokens=count, pieces=pieces, logprob=logprob, top=top)


def can_be_cut(completion: Completion, rule: StepRule, history: Sequence[str]) -> bool:
    """Whether the known tokens of a run tell which step each belongs to; if not, one step at a time must be asked for.

    Tokens that are hidden at the end of a run belong to its last step, and the step at the horizon is one in any case.
    """
    run, _ = _cut_at_answer(_cut_at_stop(completion, rule), rule, history)
    ranges = _segments(run.text, rule)
    return len(history) + 1 >= rule.horizon or len(ranges) <= 1 or len("".join(run.pieces)) >= ranges[-1][0]


def read_steps(completion: Completion, rule: StepRule, history: Sequence[str]) -> list[Step]:
    """Cut a whole run into steps.

    Args:
        completion: what the model wrote after ``history``, until a stop string, the end or the token limit.
        rule: the step rule; at its horizon the last step takes all the rest.
        history: texts of the steps before, whoever wrote them.

    Returns:
        The steps in order, at least one; the last and only the last has an ending. A run without text is one empty
        step of at least one token that ends the trace.

    Raises:
        ValueError: :func:`can_be_cut` is False: ask for one step at a time.
    """
    if not can_be_cut(completion, rule, history):
        raise ValueError("a run of several steps came back without its tokens; ask for one step at a time")
    stopped = _cut_at_stop(_aligned(completion), rule)
    run, answered = _cut_at_answer(stopped, rule, history)
    return _cut(run, rule, history, "answer" if answered else _over(stopped))


def _cut(run: Completion, rule: StepRule, history: Sequence[str], over: Ending) -> list[Step]:
    """Steps of a run with a piece for every token, or with none; ``over`` is why the trace ends with the last."""
    text = run.text
    ranges = _segments(text, rule)
    if not ranges:
        return [_empty_step(run.tokens)]
    if not run.pieces:  # then it is one step, and nothing tells where its first unit ends
        ranges = [(ranges[0][0], len(text))]
    ends = _token_ends(run, ranges)
    figures = token_confidence(run.logprob, run.top) if run.has_logprobs else None
    steps: list[Step] = []
    seen = list(history)
    first_token = 0
    for index, (start, stop) in enumerate(ranges):
        last, at_horizon = index, len(seen) + 1 == rule.horizon
        if at_horizon:
            last = len(ranges) - 1
        step_text = rule.step_text(text[start : ranges[last][1] if at_horizon else stop])
        seen.append(step_text)
        known = np.isfinite(run.logprob[first_token : ends[index]]).sum() if figures is not None else 0
        steps.append(
            Step(
                text=step_text,
                tokens=max(ends[last] - first_token, 1),
                first_tokens=int(known) or max(ends[index] - first_token, 1),
                confidence=figures.step(first_token, ends[index]) if figures is not None else None,
                ending=_ending(seen, rule, over if last == len(ranges) - 1 else ""),
            )
        )
        if steps[-1].ending:
            break
        first_token = ends[index]
    return steps


def _aligned(completion: Completion) -> Completion:
    """A run with a piece for every token, if it has any; those that the server hides at its end have no figures."""
    hidden = completion.tokens - len(completion.pieces)
    if not completion.pieces or hidden <= 0:
        return completion
    rest = completion.text[len("".join(completion.pieces)) :]
    return replace(
        completion,
        pieces=(*completion.pieces, rest, *("",) * (hidden - 1)),
        logprob=np.concatenate([completion.logprob, np.full(hidden, np.nan)]),
        top=np.concatenate([completion.top, np.full((hidden, completion.top.shape[1]), np.nan)]),
    )


def settled_text(text: str, rule: StepRule, *, last: bool) -> str:
    """What of a half-written step will stand in it whatever the model writes next, so that it may be shown already.

    Args:
        text: what the model has written of the step so far, and possibly of what follows.
        rule: the step rule.
        last: the step is the one at the horizon, which takes all the rest.

    Returns:
        A beginning of the finished step's text; it only grows while ``text`` does.
    """
    stop = rule.start_of_stop(text)
    text = text[: rule.start_of_partial_stop(text) if stop is None else stop]
    text = text[: rule.end_of_answer(text)]
    ranges = _segments(text, rule)
    if ranges and not last:
        text = text[slice(*ranges[0])]
    return rule.step_text(text)


class PartialStep:
    """One step that is asked for by itself: the first that :func:`read_steps` would find in a whole run.

    Used where decisions are taken live, and for servers that do not tell their tokens. Several requests may be needed:
    until the step is no longer degenerate, and then, one token at a time, until it is clear that the model goes on. A
    trace that ends after a delimiter ends with this step, and that shows only in what follows. Tokens that were only
    looked at belong to the next step and do not count.

    An empty answer of a server that tells no tokens may be the end, or a newline before the step, as behind a chat
    template that trims its last message. A few tokens, asked for once more without the delimiter to stop at, tell.
    Where such a template drops the newline again, so that the model writes it again, all of the rest is asked for, and
    its first step is taken.

    Args:
        rule: the step rule; the step must not be the one at the horizon, which is a whole run (:func:`read_steps`).
        history: texts of the steps before.
    """

    def __init__(self, rule: StepRule, history: Sequence[str]) -> None:
        self.rule = rule
        self.history = tuple(history)
        self._run: Completion | None = None
        self._limit: int | None = None
        self._looking_ahead = False
        self._empty: Completion | None = None
        self._newlines = 0

    def request(self, prompt: str, max_tokens: int) -> Request:
        """The next request; it stops at the delimiter. ``max_tokens`` is what is left of the model's run."""
        self._limit = max_tokens
        written, tokens = ("", 0) if self._run is None else (self._run.text, self._run.tokens)
        left = 1 if self._looking_ahead else max(max_tokens - tokens, 1)
        prefix, stops = self.rule.prefix(self.history) + written, self.rule.engine_stops
        if self._newlines > _MOST_NEWLINES:
            return Request(prompt, self.rule.prefix(self.history), max_tokens, stops)
        if self._empty is not None:
            return Request(prompt, prefix, _PEEK, stops)
        return Request(prompt, prefix, left, (self.rule.delimiter, *stops))

    def add(self, completion: Completion) -> Step | None:
        """Enter a result: the finished step, or None if the model has to go on.

        Where the server tells no tokens at all, the trace is taken to go on; if it had ended, the next step is empty
        and ends it.
        """
        if self._newlines > _MOST_NEWLINES and can_be_cut(completion, self.rule, self.history):
            return read_steps(completion, self.rule, self.history)[0]
        if self._empty is not None:
            lead = completion.text[: len(completion.text) - len(completion.text.lstrip())]
            completion, decoded = self._empty, lead if self.rule.end_of_step(lead) else ""
            self._empty = None
        elif self._says_nothing(completion):
            self._empty = completion
            return None
        else:
            decoded = self._decoded(completion)
        run = self._run = _joined(self._run, completion, decoded)
        stop = self.rule.start_of_stop(run.text)
        run = replace(run, text=run.text[:stop])
        run, answered = _cut_at_answer(run, self.rule, self.history)
        over: Ending = "answer" if answered else "stop" if stop is not None else self._over(completion, decoded)
        self._newlines += not decoded.strip()
        if not over and not self._complete(run.text):
            return None
        if not over and run.pieces and self._may_end_here(run.text):
            self._looking_ahead = True
            return None
        return _cut(run, self.rule, self.history, over)[0]

    def _says_nothing(self, completion: Completion) -> bool:
        """Whether an answer tells neither text nor tokens, where the step has none yet."""
        told = completion.text or completion.pieces or completion.finish == "length"
        return not told and (self._run is None or not self._run.text.strip())

    def _decoded(self, completion: Completion) -> str:
        """All that was decoded, with what ended it: where a server hides that, the delimiter is the best guess."""
        decoded = "".join(_aligned(completion).pieces) or completion.text
        told = len(completion.pieces) >= completion.tokens or completion.finish == "length"
        return decoded if told or not completion.text else completion.text + self.rule.delimiter

    def _over(self, completion: Completion, decoded: str) -> Ending:
        assert self._run is not None
        if self._limit is not None and self._run.tokens >= self._limit:
            return "length"
        if completion.finish == "length":
            return "" if self._looking_ahead else "length"
        return "" if decoded[len(completion.text) :].startswith(self.rule.delimiter) else "stop"

    def _complete(self, text: str) -> bool:
        ranges = _segments(text, self.rule)
        first = text[slice(*ranges[0])] if ranges else ""
        return self.rule.end_of_step(first) is not None and not self.rule.is_degenerate(first)

    def _may_end_here(self, text: str) -> bool:
        """Whether what follows the first step is still nothing, or may turn out to be a stop string."""
        end = _segments(text, self.rule)[0][1]
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
    part = _aligned(replace(part, text=decoded))
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


def _empty_step(tokens: int) -> Step:
    return Step("", max(tokens, 1), max(tokens, 1), None, "stop")


def _over(completion: Completion) -> Ending:
    return "length" if completion.finish == "length" else "stop"


def _ending(seen: Sequence[str], rule: StepRule, over: Ending) -> Ending:
    """Why the trace ends with the last of ``seen``; ``over`` is what the engine says."""
    if over:
        return over
    if rule.repeat_limit and seen.count(seen[-1]) >= rule.repeat_limit:
        return "repetition"
    return ""
