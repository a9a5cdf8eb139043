"""What a server does with a half-written answer: whether it goes on with it, and what it sends back of it.

Found out by four requests of one token each, which tell the habits apart by token counts alone, whatever the model
writes: for nothing, for a begun line, for the same line without its newline, and for the line twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gym_stepwise_routing.generators.generator import Completion

__all__ = ["BEGUN", "PROBES", "MessageHabits", "habits_of"]

BEGUN = "one, two, three, four\n"
"""A begun answer; its line ends with a word, whose token no tokenizer joins with the newline."""
PROBES = ("", BEGUN, BEGUN.rstrip("\n"), BEGUN + BEGUN)
"""The prefixes that :func:`habits_of` needs a token after, in its order."""
_CLOSED = 2
"""Tokens that only the end of a message and the head of the next one explain; a tokenizer's borders explain one."""


@dataclass(frozen=True, slots=True)
class MessageHabits:
    """How a server treats a message that is to be continued.

    Attributes:
        echoes: its answers begin with a copy of the message, and only then comes what is new. One whose copy lacks the
            newline counts too: its answers are then refused, since nobody can tell where the copy ends.
        closing: tokens that it puts behind the message; 0 where it leaves it open.
        keeps_newline: the model reads the newline at the end of the message.
    """

    echoes: bool = False
    closing: int = 0
    keeps_newline: bool = True

    @property
    def fault(self) -> str:
        """Why a step cannot be continued so, '' where it can."""
        if self.closing < _CLOSED:
            return ""
        return (
            f"the server closes a half-written answer ({self.closing} tokens more) and begins a new one; "
            "allowed: another continuation, such as raw"
        )


def habits_of(runs: Sequence[Completion]) -> MessageHabits:
    """Habits from the runs of one token after each of :data:`PROBES`, their texts as the server sent them."""
    alone, once, bare, twice = (run.prompt_tokens for run in runs)
    kept = once > bare
    closing = 2 * once - alone - twice + (not kept)
    return MessageHabits(echoes=runs[1].text.startswith(BEGUN.rstrip()), closing=max(closing, 0), keeps_newline=kept)
