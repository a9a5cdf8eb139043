"""Mutated files and answers: valid ones with a few places changed, in their values or in their bytes."""

from __future__ import annotations

import copy
import json
from dataclasses import dataclass, field
from typing import Any

from hypothesis import strategies as st

__all__ = ["Damaged", "mutated_bytes", "mutated_json", "mutated_lines"]

DEEP = "[" * 3_000 + "]" * 3_000
ODD = [
    None, True, False, 0, -1, 1, 2, 0.5, 1e308, -1e-320, 2**31, 2**63, 2**64, -(2**70), 10**400,
    float("nan"), float("inf"), "", " ", "x", "\ud800", "\x00", "nan", "a\nb", "x" * 100_000, "../../x", "9" * 5_000,
    [], {}, [[]], [None], ["x", 1], {"": None}, {"a": {"b": [1]}}, DEEP,
]  # fmt: skip
"""Values that a field is not made for; the text :data:`DEEP` is put in as JSON, not as a string."""


_HOW_MANY, _YES, _ONE_OF_TEN, _ONE_OF_FOUR = st.integers(1, 3), st.booleans(), st.integers(0, 9), st.integers(0, 3)
_HOW = st.sampled_from(("odd", "gone", "twice", "moved", "new"))
_NEW_KEY = st.sampled_from(("x", "", "version", "\ud800"))
_ODD = st.sampled_from(ODD)


@st.composite
def mutated_json(draw: st.DrawFn, whole: bytes) -> bytes:
    """A JSON text with one to three changes: a value for another, a key or item gone, twice, or moved.

    Lone surrogates become bytes that are no UTF-8.
    """
    value = json.loads(whole)
    for _ in range(draw(_HOW_MANY)):
        value = _changed(draw, value)
    text = json.dumps(value, ensure_ascii=draw(_YES))
    if draw(_ONE_OF_TEN) == 0 and isinstance(value, dict) and value:  # a key twice
        key = draw(st.sampled_from(sorted(value)))
        text = f"{text[:-1]}, {json.dumps(key)}: {json.dumps(draw(_ODD))}}}"
    return text.replace(json.dumps(DEEP), DEEP).encode(errors="surrogatepass")


@st.composite
def mutated_lines(draw: st.DrawFn, whole: bytes) -> bytes:
    """JSON Lines, one of which is mutated."""
    lines = whole.splitlines()
    at = draw(st.integers(0, len(lines) - 1))
    lines[at] = draw(mutated_json(lines[at]))
    return b"\n".join(lines) + b"\n"


def _changed(draw: st.DrawFn, value: Any) -> Any:
    """The value with one change at a place that is drawn on the way down."""
    at = None
    if _has_parts(value):
        at = draw(st.sampled_from(sorted(value) if isinstance(value, dict) else range(len(value))))
    if at is None or draw(_ONE_OF_FOUR) == 0:
        how = draw(_HOW) if _has_parts(value) else "odd"
        if how == "odd" or at is None:
            return _odd(draw)
        if how == "gone":
            del value[at]
        elif how == "new" and isinstance(value, dict):
            value[draw(_NEW_KEY)] = _odd(draw)
        elif isinstance(value, list):
            value.insert(
                draw(st.integers(0, len(value))), copy.deepcopy(value[at]) if how == "twice" else value.pop(at)
            )
        else:
            value[at] = copy.deepcopy(draw(st.sampled_from(list(value.values()))))
        return value
    value[at] = _changed(draw, value[at])
    return value


def _odd(draw: st.DrawFn) -> Any:
    return copy.deepcopy(draw(_ODD))


def _has_parts(value: Any) -> bool:
    return isinstance(value, dict | list) and bool(value)


@dataclass(frozen=True)
class Damaged:
    """Bytes that are damaged when they are asked for: hypothesis keeps what it draws."""

    whole: bytes = field(repr=False)
    length: int
    changes: tuple[tuple[int, int], ...]

    def __bytes__(self) -> bytes:
        damaged = bytearray(self.whole[: self.length])
        for at, value in self.changes:
            damaged[at] = value
        return bytes(damaged)


@st.composite
def mutated_bytes(draw: st.DrawFn, whole: bytes) -> Damaged:
    """The bytes, possibly torn, with up to eight of them changed."""
    length = draw(st.integers(0, len(whole))) if draw(st.booleans()) else len(whole)
    changes = st.lists(st.tuples(st.integers(0, length - 1), st.integers(0, 255)), max_size=8)
    return Damaged(whole, length, tuple(draw(changes)) if length else ())
