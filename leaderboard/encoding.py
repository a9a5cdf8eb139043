"""Decisions as text: one digit a step for people to read, or many points of a sweep packed together."""

from __future__ import annotations

import base64
import binascii
import zlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["decisions_from_text", "decisions_to_text", "pack", "unpack"]

_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
_NONE = -1
_MOST_UNPACKED = 2**28


def decisions_to_text(decisions: NDArray[np.int8]) -> list[str]:
    """``int8[n, H]`` (-1 after the end) as one string a problem: digit *i* is the model chosen at step *i*."""
    return ["".join(_DIGITS[action] for action in row if action != _NONE) for row in decisions.tolist()]


def decisions_from_text(texts: Sequence[str], horizon: int, models: int) -> NDArray[np.int8]:
    """The inverse of :func:`decisions_to_text`.

    Raises:
        ValueError: more decisions than the horizon, or a digit that is no model.
    """
    decisions = np.full((len(texts), horizon), _NONE, dtype=np.int8)
    allowed = _DIGITS[:models]
    for row, text in enumerate(texts):
        if len(text) > horizon:
            raise ValueError(f"problem {row}: {len(text)} decisions; allowed: at most {horizon}")
        if not set(text) <= set(allowed):
            raise ValueError(f"problem {row}: decisions={text!r}; allowed: digits of {allowed}")
        decisions[row, : len(text)] = [allowed.index(digit) for digit in text]
    return decisions


def pack(decisions: NDArray[np.int8]) -> str:
    """``int8[T, n, H]`` as text: zlib, then base64.

    Neighbouring thresholds mostly decide alike, so they stand side by side: the text is a third shorter.
    """
    raw = np.ascontiguousarray(decisions.transpose(1, 2, 0), dtype=np.int8).tobytes()
    return base64.b64encode(zlib.compress(raw, 9)).decode()


def unpack(text: str, shape: tuple[int, int, int]) -> NDArray[np.int8]:
    """The inverse of :func:`pack`.

    Raises:
        ValueError: not packed text, or another number of decisions than ``shape`` asks for.
    """
    size = int(np.prod(shape))
    if size > _MOST_UNPACKED:
        raise ValueError(f"a sweep of shape {shape}; allowed: at most {_MOST_UNPACKED} decisions")
    try:
        stream = zlib.decompressobj()
        raw = stream.decompress(base64.b64decode(text, validate=True), size + 1)
    except (binascii.Error, zlib.error) as error:
        raise ValueError(f"packed decisions cannot be read: {error}") from None
    if len(raw) != size or not stream.eof or stream.unused_data:
        raise ValueError(f"packed decisions hold another number of decisions than {shape} asks for")
    thresholds, problems, steps = shape
    return np.frombuffer(raw, dtype=np.int8).reshape(problems, steps, thresholds).transpose(2, 0, 1).copy()
