"""Why a submission is refused: one code and one sentence for each fault."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from gym_stepwise_routing.leaderboard.visible import is_hidden

__all__ = ["EntryRejectedError", "Fault", "FaultCode", "StaleTrackError", "UntrustedError", "one_line"]

_LONGEST = 1000

FaultCode = Literal[
    "schema",
    "place",
    "title",
    "track",
    "bank",
    "split",
    "prices",
    "problems",
    "view",
    "runs",
    "decisions",
    "tokens",
    "figures",
    "reference",
    "artefact",
    "provenance",
    "rerun",
    "order",
    "batch",
    "names",
    "precision",
    "gain",
    "selection",
    "limits",
    "failed",
]
"""What is wrong: see the table in ``SUBMISSION.md``."""


def one_line(text: object) -> str:
    """Text of strangers, fit to be printed: what would begin a new line, move the cursor or not be seen is escaped."""
    shown = "".join(c if not is_hidden(c) else c.encode("unicode_escape").decode() for c in str(text)[: _LONGEST + 1])
    return shown if len(shown) <= _LONGEST else f"{shown[:_LONGEST]}..."


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong with an entry: ``code`` for machines, ``message`` for people, in one line."""

    code: FaultCode
    message: str

    def __post_init__(self) -> None:
        # Messages quote what strangers wrote. CI takes a line that begins with "verified" for a verdict.
        object.__setattr__(self, "message", one_line(self.message))

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"


class EntryRejectedError(ValueError):
    """An entry that the leaderboard refuses.

    Args:
        entry: its file or name.
        faults: everything that was found wrong with it, at least one thing.
    """

    def __init__(self, entry: object, faults: Iterable[Fault]) -> None:
        self.faults = tuple(faults)
        super().__init__(f"{one_line(entry)} is rejected: " + "; ".join(map(str, self.faults)))


class StaleTrackError(ValueError):
    """A track whose bank has changed since the track was frozen."""


class UntrustedError(ValueError):
    """A router that cannot be loaded without running code of unknown origin, and nobody said that this is fine."""
