"""Reading of the answers of OpenAI-compatible servers, whose forms differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from gym_stepwise_routing.generators.generator import Completion, Finish

__all__ = ["completion_of", "reason_of"]


def completion_of(
    answer: Mapping[str, Any], top_logprobs: int, *, prefix: str = "", echoes: bool = False
) -> Completion:
    """A run from the JSON of ``/completions`` or ``/chat/completions``.

    Token counts are those of the server's ``usage``. Log-probabilities are read in the form of either interface,
    wherever a server puts them, and are absent where it gives none.

    Args:
        answer: the JSON.
        top_logprobs: log-probabilities kept per token.
        prefix: the half-written answer that was continued.
        echoes: the server repeats the prefix in its answers; the copy is no part of the run and is taken off, once.

    Raises:
        ValueError: no choice or several, no text, no token counts or fewer than tokens told, or no copy of the prefix
            where there should be one.
    """
    choices = answer.get("choices")
    if not isinstance(choices, list) or not choices:
        raise ValueError("no choices")
    if len(choices) > 1:  # llama.cpp counts those of the first alone
        raise ValueError(f"{len(choices)} choices; allowed: 1, since nothing tells whether usage counts them all")
    choice = choices[0]
    text = choice["message"].get("content") or "" if "message" in choice else choice.get("text")
    if not isinstance(text, str):
        raise ValueError(f"text is {text!r}")
    usage = answer.get("usage") or {}
    prompt, decoded = usage.get("prompt_tokens"), usage.get("completion_tokens")
    if not isinstance(prompt, int) or not isinstance(decoded, int):
        raise ValueError("no usage: the server counts no tokens, and counts are never made up")
    details = usage.get("prompt_tokens_details") or {}
    pieces, logprob, rows = _tokens(choice.get("logprobs"))
    if len(pieces) > decoded:
        raise ValueError(f"usage counts {decoded} tokens, and the log-probabilities tell {len(pieces)}")
    text = _continuation(text, prefix, pieces, decoded, echoes)
    top = np.full((len(rows), top_logprobs), np.nan)
    for index, row in enumerate(rows):
        best = sorted(row, reverse=True)[:top_logprobs]
        top[index, : len(best)] = best
    fits = _fit(pieces, text, decoded)
    known = fits and top_logprobs >= 2 and bool(np.isfinite(top[:, :2]).all())
    finish: Finish = "length" if choice.get("finish_reason") == "length" else "stop"
    return Completion(
        text=text,
        tokens=decoded,
        pieces=pieces if known else (),
        logprob=np.asarray(logprob) if known else np.zeros(0),
        top=top if known else np.zeros((0, 0)),
        finish=finish,
        prompt_tokens=prompt,
        cached_tokens=details.get("cached_tokens"),
    )


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


def _tokens(logprobs: Mapping[str, Any] | None) -> tuple[tuple[str, ...], list[float], list[list[float]]]:
    """Text, log-probability and top log-probabilities of each token; empty where there are none."""
    if not logprobs:
        return (), [], []
    if logprobs.get("content"):  # chat form, and llama.cpp's completions
        entries: Sequence[Mapping[str, Any]] = logprobs["content"]
        rows = [[float(other["logprob"]) for other in entry.get("top_logprobs") or ()] for entry in entries]
        return _texts(entries), [float(entry["logprob"]) for entry in entries], rows
    if logprobs.get("tokens"):  # completions form
        tops = logprobs.get("top_logprobs") or [{}] * len(logprobs["tokens"])
        rows = [[float(value) for value in (top or {}).values()] for top in tops]
        return tuple(logprobs["tokens"]), [float(value) for value in logprobs["token_logprobs"]], rows
    return (), [], []


def _texts(entries: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """Text that each token adds; a character split over tokens comes with its last part."""
    if not all(entry.get("bytes") for entry in entries):
        return tuple(str(entry["token"]) for entry in entries)
    pieces, pending = [], b""
    for entry in entries:
        pending += bytes(entry["bytes"])
        try:
            pieces.append(pending.decode())
            pending = b""
        except UnicodeDecodeError:
            pieces.append("")
    return tuple(pieces)
