"""Thoughts of reasoning models: what stands between ``<think>`` and ``</think>``, and what of a text does not."""

from __future__ import annotations

import re

__all__ = ["THINK", "THOUGHT", "in_thought", "without_thoughts"]

THINK, THOUGHT = "<think>", "</think>"
"""Where a thought begins and where it is over."""
_THOUGHT = re.compile(rf"{THINK}.*?(?:{THOUGHT}|\Z)", re.DOTALL)


def without_thoughts(text: str) -> str:
    """A text without its thoughts; one that is not over goes to the end, so that nothing in it is an answer."""
    return _THOUGHT.sub("", text) if THINK in text else text


def in_thought(text: str, position: int | None = None) -> bool:
    """Whether a position of a text (its end) stands in a thought."""
    before = text[:position]
    return before.rfind(THINK) > before.rfind(THOUGHT)
