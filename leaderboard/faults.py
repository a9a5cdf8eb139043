"""Why a submission is refused: one code and one sentence for each fault."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

__all__ = ["EntryRejectedError", "Fault", "FaultCode", "StaleTrackError", "UntrustedError"]

FaultCode = Literal[
    "schema",
    "place",
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
]
"""What is wrong: see the table in ``SUBMISSION.md``."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong with an entry: ``code`` for machines, ``message`` for people."""

    code: FaultCode
    message: str

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
        super().__init__(f"{entry} is rejected: " + "; ".join(map(str, self.faults)))


class StaleTrackError(ValueError):
    """A track whose bank has changed since the track was frozen."""


class UntrustedError(ValueError):
    """A router that cannot be loaded without running code of unknown origin, and nobody said that this is fine."""
