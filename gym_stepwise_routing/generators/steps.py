"""Whole runs cut into steps by a step rule."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from gym_stepwise_routing.generators.generator import Completion
from gym_stepwise_routing.generators.step_rule import StepRule
from gym_stepwise_routing.generators.token_classes import TableWords
from gym_stepwise_routing.generators.token_confidence import StepClasses, StepConfidence, token_confidence

__all__ = [
    "Ending",
    "Step",
    "aligned",
    "can_be_cut",
    "cut_at_answer",
    "cut_run",
    "read_steps",
    "segments",
    "settled_text",
]


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
        cached_tokens: input tokens that the engine's cache served of the request that began the step; None where it
            does not tell, and of runs of several steps.
        classes: the figures over table tokens and over all others; None where there are none, or no table.
    """

    text: str
    tokens: int
    first_tokens: int
    confidence: StepConfidence | None
    ending: Ending
    cached_tokens: int | None = None
    classes: StepClasses | None = None


def segments(text: str, rule: StepRule) -> list[tuple[int, int]]:
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


def cut_at_answer(completion: Completion, rule: StepRule, history: Sequence[str]) -> tuple[Completion, bool]:
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
    run, _ = cut_at_answer(_cut_at_stop(completion, rule), rule, history)
    ranges = segments(run.text, rule)
    return len(history) + 1 >= rule.horizon or len(ranges) <= 1 or len("".join(run.pieces)) >= ranges[-1][0]


def read_steps(
    completion: Completion, rule: StepRule, history: Sequence[str], words: TableWords | None = None
) -> list[Step]:
    """Cut a whole run into steps.

    Args:
        completion: what the model wrote after ``history``, until a stop string, the end or the token limit.
        rule: the step rule; at its horizon the last step takes all the rest.
        history: texts of the steps before, whoever wrote them.
        words: those of the problem's table, whose tokens have figures of their own.

    Returns:
        The steps in order, at least one; the last and only the last has an ending. A run without text is one empty
        step of at least one token that ends the trace.

    Raises:
        ValueError: :func:`can_be_cut` is False: ask for one step at a time.
    """
    if not can_be_cut(completion, rule, history):
        raise ValueError("a run of several steps came back without its tokens; ask for one step at a time")
    stopped = _cut_at_stop(aligned(completion), rule)
    run, answered = cut_at_answer(stopped, rule, history)
    return cut_run(run, rule, history, "answer" if answered else _over(stopped), words)


def cut_run(
    run: Completion, rule: StepRule, history: Sequence[str], over: Ending, words: TableWords | None = None
) -> list[Step]:
    """Steps of a run with a piece for every token, or with none; ``over`` is why the trace ends with the last."""
    text = run.text
    ranges = segments(text, rule)
    if not ranges:
        return [_empty_step(run.tokens)]
    if not run.pieces:  # then it is one step, and nothing tells where its first unit ends
        ranges = [(ranges[0][0], len(text))]
    ends = _token_ends(run, ranges)
    figures = token_confidence(run.logprob, run.top) if run.has_logprobs else None
    in_table = words.tokens(run.pieces, text) if words is not None and run.pieces else None
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
                classes=None
                if figures is None or in_table is None
                else figures.classes(first_token, ends[index], in_table),
            )
        )
        if steps[-1].ending:
            break
        first_token = ends[index]
    return steps


def aligned(completion: Completion) -> Completion:
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
    ranges = segments(text, rule)
    if ranges and not last:
        text = text[slice(*ranges[0])]
    return rule.step_text(text)


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
