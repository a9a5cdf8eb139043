"""Reading of the answers of OpenAI-compatible servers, whose forms differ, and refusal of what cannot be."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gym_stepwise_routing.errors import is_number
from gym_stepwise_routing.generators.attempts import is_overload
from gym_stepwise_routing.generators.generator import Completion, Finish
from gym_stepwise_routing.grading.thoughts import THINK, THOUGHT, in_thought

__all__ = ["AnswerError", "completion_of", "reason_of", "with_thought", "without_stop"]

_MOST_TOKENS = 2**31 - 1  # what a bank can hold
_LARGEST = float(np.finfo(np.float32).max)
_ROUNDING = 1e-5
"""A log-probability may be that much above 0, as in a bank."""
_SAME = 1e-3
"""Two figures of one token, told in two places, may differ by that much."""
_SILENT = 8
"""Most tokens without any text: those of a stop string, of the end, of a part of a character."""
_FINISH: Mapping[Any, Finish] = {
    **dict.fromkeys(("stop", "eos", "eos_token", "stop_sequence", "end_turn"), "stop"),
    **dict.fromkeys(("length", "max_tokens", "model_length"), "length"),
}
_MAY_PASS = ("abort", "error", "insufficient_system_resource", "network_error")
"""Reasons to finish of servers that are overloaded or being stopped: vLLM's, OpenRouter's, DeepSeek's, Z.AI's."""


class AnswerError(ValueError):
    """An answer that is none: a fault in the server's own words.

    Attributes:
        retryable: a later attempt may succeed.
    """

    def __init__(self, fault: str, *, retryable: bool) -> None:
        super().__init__(fault)
        self.retryable = retryable


def completion_of(answer: Any, top_logprobs: int, *, prefix: str = "", echoes: bool = False) -> Completion:
    """A run from the JSON of ``/completions`` or ``/chat/completions``.

    Token counts are those of the server's ``usage``. Log-probabilities are read in the form of either interface,
    wherever a server puts them, and are absent where it gives none.

    Args:
        answer: the JSON, whatever it is.
        top_logprobs: log-probabilities kept per token.
        prefix: the half-written answer that was continued.
        echoes: the server repeats the prefix in its answers; the copy is no part of the run and is taken off, once.

    Raises:
        AnswerError: the server tells an error, or an end that is none.
        ValueError: no choice or several, no text, half a character, no token counts, counts that cannot be or are
            fewer than the tokens told, tokens without text, log-probabilities that are no logarithms of probabilities
            or too few or many, or no copy of the prefix where there should be one.
    """
    choice = _choice(answer)
    message = choice.get("message")
    text = choice.get("text") if message is None else _object("message", message).get("content") or ""
    thought = _thought({} if message is None else message)
    if not isinstance(text, str):
        raise ValueError(f"text is {text!r:.80}")
    (thought + text).encode()  # half a character, which JSON can spell, is a ValueError
    usage = _object("usage", answer.get("usage") or {})
    if "prompt_tokens" not in usage or "completion_tokens" not in usage:
        raise ValueError("no usage: the server counts no tokens, and counts are never made up")
    prompt, decoded = _count(usage, "prompt_tokens", 1), _count(usage, "completion_tokens", 0)
    spent = _thought_tokens(usage)
    if spent and usage.get("total_tokens") == prompt + decoded + spent:  # xAI counts thoughts apart
        decoded += spent
    pieces, logprob, rows = _tokens(_object("logprobs", choice.get("logprobs") or {}))
    if len(pieces) > decoded:
        raise ValueError(f"usage counts {decoded} tokens, and the log-probabilities tell {len(pieces)}")
    text, pieces = with_thought(text, thought, pieces, prefix)
    if not text and not pieces and decoded - spent > _SILENT:
        raise ValueError(f"no text, and {decoded} tokens counted: what the model wrote is not in the answer")
    text = _continuation(text, prefix, pieces, decoded, echoes)
    top = _top(logprob, rows, top_logprobs)
    fits = _fit(pieces, text, decoded)
    known = fits and top_logprobs >= 2 and bool(np.isfinite(top[:, :2]).all())
    return Completion(
        text=text,
        tokens=decoded,
        pieces=pieces if known else (),
        logprob=np.asarray(logprob) if known else np.zeros(0),
        top=top if known else np.zeros((0, 0)),
        finish=_finish(choice),
        prompt_tokens=prompt,
        cached_tokens=_cached_tokens(usage),
    )


def without_stop(completion: Completion, stops: Sequence[str]) -> Completion:
    """The run up to its first stop string, which some servers (transformers') leave in the text."""
    found = [at for at in (completion.text.find(stop) for stop in stops) if at >= 0]
    return replace(completion, text=completion.text[: min(found)], finish="stop") if found else completion


def _thought(message: Mapping[str, Any]) -> str:
    """What a message holds beside its answer: vLLM, SGLang, DeepSeek and llama.cpp name it in one of two ways."""
    told = message.get("reasoning_content") or message.get("reasoning") or ""
    if not isinstance(told, str):
        raise ValueError(f"reasoning is {told!r:.80}; allowed: text")
    return told


def _thought_tokens(usage: Mapping[str, Any]) -> int:
    """Tokens of thoughts, shown or hidden, where a server tells them."""
    details = _object("completion_tokens_details", usage.get("completion_tokens_details") or {})
    return _count_if_told(details, "reasoning_tokens") or 0


def _cached_tokens(usage: Mapping[str, Any]) -> int | None:
    """Input tokens that the server's cache served, in OpenAI's field or in DeepSeek's own; None if it does not tell."""
    details = _object("prompt_tokens_details", usage.get("prompt_tokens_details") or {})
    told = _count_if_told(details, "cached_tokens")
    return _count_if_told(usage, "prompt_cache_hit_tokens") if told is None else told


def with_thought(text: str, thought: str, pieces: tuple[str, ...], prefix: str) -> tuple[str, tuple[str, ...]]:
    """Text and tokens with the thought before the answer, between ``<think>`` and ``</think>``.

    A server may tell the thought apart, or leave its end in the text and its beginning in the template. Where the
    tokens hold both, the text is theirs.

    Args:
        text: the answer as the server tells it.
        thought: the thought, '' where it tells none apart.
        pieces: its tokens.
        prefix: what was continued; a thought that is open there is not opened again.
    """
    opened = in_thought(prefix)
    if not thought:
        lone = THOUGHT in text and THINK not in text.partition(THOUGHT)[0] and not opened
        begin = f"{THINK}\n" if lone else ""
        return begin + text, (begin + pieces[0], *pieces[1:]) if pieces and begin else pieces
    joined = "".join(pieces)
    at = joined.find(thought.strip())
    if at >= 0 and text.strip() in joined[at:]:
        begin = "" if opened or THINK in joined[:at] else f"{THINK}\n"
        return begin + joined, (begin + pieces[0], *pieces[1:])
    begin = "" if opened else f"{THINK}\n"
    return begin + thought + (f"\n{THOUGHT}\n\n{text.lstrip()}" if text.strip() else ""), pieces


def _choice(answer: Any) -> Mapping[str, Any]:
    """The one choice of an answer."""
    answer = _object("the answer", answer)
    choices = answer.get("choices")
    found = isinstance(choices, list) and choices
    error = answer.get("error") or (found and isinstance(choices[0], Mapping) and choices[0].get("error"))
    if error:
        raise _told(error)
    if not isinstance(choices, list) or not choices:
        raise ValueError("no choices")
    if len(choices) > 1:  # llama.cpp counts those of the first alone
        raise ValueError(f"{len(choices)} choices; allowed: 1, since nothing tells whether usage counts them all")
    return _object("choice", choices[0])


def _told(error: Any) -> AnswerError:
    """An error that a server tells with a status that says all is well."""
    words, code = (error.get("message") or error, error.get("code")) if isinstance(error, Mapping) else (error, None)
    overload = isinstance(code, int) and is_overload(code)
    return AnswerError(f"status 200 with an error: {words!s:.300}", retryable=overload)


def _finish(choice: Mapping[str, Any]) -> Finish:
    """Why the run ends; only reasons that are known end it."""
    told = choice.get("finish_reason")
    if isinstance(told, str) and told in _FINISH:
        return _FINISH[told]
    raise AnswerError(
        f"finish_reason={told!r:.80}; allowed: {', '.join(map(repr, _FINISH))}", retryable=told in _MAY_PASS
    )


def _object(name: str, value: Any) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise ValueError(f"{name} is {value!r:.80}; allowed: an object")
    return value


def _count(counts: Mapping[str, Any], name: str, least: int) -> int:
    value = counts[name]
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= _MOST_TOKENS:
        raise ValueError(f"{name} is {value!r:.80}; allowed: {least} to {_MOST_TOKENS}")
    return value


def _count_if_told(counts: Mapping[str, Any], name: str) -> int | None:
    return None if counts.get(name) is None else _count(counts, name, 0)


def reason_of(error: BaseException) -> str:
    """What an error says, in one line; the reason in a refusal's body too, wherever the server put it."""
    said, body = str(error), getattr(error, "body", None)
    detail = body.get("detail") if isinstance(body, Mapping) else None  # where FastAPI puts it, as transformers does
    return " ".join((f"{said}: {detail}" if detail else said).split())[:300]


def _continuation(text: str, prefix: str, pieces: Sequence[str], decoded: int, echoes: bool) -> str:
    """What of a text is new. Where its tokens tell, they decide: a model may write the same line again by itself."""
    if not prefix or not text:
        return text
    if not text.startswith(prefix):
        if echoes:
            raise ValueError(f"it should begin with a copy of what it continues, and begins with {text[:40]!r}")
        return text
    rest = text[len(prefix) :]
    if pieces and _fit(pieces, text, decoded) != (fits := _fit(pieces, rest, decoded)):
        return rest if fits else text
    return rest if echoes else text


def _fit(pieces: Sequence[str], text: str, decoded: int) -> bool:
    """Whether the tokens make up the text: all of it, or all but its end where the server hides its last tokens.

    llama.cpp's server hides those of the stop word, and the first of them may have begun with the end of the text.
    """
    joined = "".join(pieces)
    return len(pieces) > 0 and (joined.startswith(text) or (text.startswith(joined) and len(pieces) < decoded))


def _tokens(logprobs: Mapping[str, Any]) -> tuple[tuple[str, ...], list[float], list[list[float]]]:
    """Text, log-probability and top log-probabilities of each token; empty where there are none."""
    if logprobs.get("content"):  # chat form, and llama.cpp's completions
        entries = [_object("a token", entry) for entry in _list("content", logprobs["content"])]
        tops = [_list("top_logprobs", entry.get("top_logprobs") or []) for entry in entries]
        rows = [[_logarithm(_object("a token", other).get("logprob"), least=True) for other in row] for row in tops]
        return _texts(entries), [_logarithm(entry.get("logprob")) for entry in entries], rows
    if logprobs.get("tokens"):  # completions form
        tokens = _list("tokens", logprobs["tokens"])
        figures = _list("token_logprobs", logprobs.get("token_logprobs"))
        told = _list("top_logprobs", logprobs.get("top_logprobs") or [{}] * len(tokens))
        if not len(tokens) == len(figures) == len(told):
            raise ValueError(
                f"{len(tokens)} tokens, {len(figures)} token_logprobs and {len(told)} top_logprobs; allowed: as many"
            )
        if not all(isinstance(token, str) for token in tokens):
            raise ValueError("tokens are no texts")
        rows = [[_logarithm(v, least=True) for v in _object("top_logprobs", row or {}).values()] for row in told]
        return tuple(tokens), [_logarithm(value) for value in figures], rows
    return (), [], []


def _list(name: str, value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise ValueError(f"{name} is {value!r:.80}; allowed: a list")
    return value


def _logarithm(value: Any, *, least: bool = False) -> float:
    """A natural log-probability; ``least``: one of a token that was not chosen, whose probability may be 0."""
    low = -math.inf if least else -_LARGEST
    if not is_number(value) or not (-_LARGEST <= value <= _ROUNDING or value == low):  # NaN compares False
        raise ValueError(f"a log-probability is {value!r:.80}; allowed: a number of at most 0")
    return min(float(value), 0.0)


def _top(logprob: Sequence[float], rows: Sequence[Sequence[float]], count: int) -> NDArray[np.float64]:
    """The largest log-probabilities of each token, descending.

    The token that was chosen counts with its own figure: where other tokens are spelt alike (parts of a character, for
    example), the completions form, a mapping from text to figure, may hold only theirs.
    """
    top = np.full((len(rows), count), np.nan)
    for index, (own, row) in enumerate(zip(logprob, rows, strict=True)):
        told = any(abs(own - other) <= _SAME for other in row) or not row
        best = sorted(row if told else [own, *row], reverse=True)[:count]
        top[index, : len(best)] = best
    return top


def _bytes(value: object) -> bytes:
    """Bytes that are told as a list of numbers."""
    numbers = _list("bytes", value)
    try:
        return bytes(numbers)
    except (TypeError, ValueError):
        raise ValueError(f"bytes={value!r:.80}; allowed: a list of integers from 0 to 255") from None


def _texts(entries: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """Text that each token adds; a character split over tokens comes with its last part."""
    if not all(entry.get("bytes") for entry in entries):
        return tuple(str(entry.get("token", "")) for entry in entries)
    pieces, pending = [], b""
    for entry in entries:
        pending += _bytes(entry["bytes"])
        try:
            pieces.append(pending.decode())
            pending = b""
        except UnicodeDecodeError:
            pieces.append("")
    return tuple(pieces)
