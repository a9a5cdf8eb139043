"""When a request is tried again: pauses that double, and those that a server asks for, up to a cap."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

__all__ = ["LONGEST_PAUSE", "asked_seconds", "is_overload", "pause"]

_FIRST_PAUSE = 0.5  # seconds, doubled each time
LONGEST_PAUSE = 60.0
"""Most seconds that the recorder waits before it tries again, whatever a server asks for in ``Retry-After``."""


def is_overload(status: int) -> bool:
    """Whether an HTTP status says that a later attempt may succeed."""
    return status in (408, 409, 429) or status >= 500


def asked_seconds(retry_after: str | None, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> float | None:
    """Seconds that a ``Retry-After`` header asks for, as a number or as a date; None: nothing that can be read.

    Args:
        retry_after: the header.
        now: the time, against which a date is read.
    """
    if retry_after is None:
        return None
    try:
        seconds = float(retry_after)
    except ValueError:
        try:
            date = parsedate_to_datetime(retry_after)
        except ValueError:
            return None
        seconds = (date.replace(tzinfo=date.tzinfo or UTC) - now()).total_seconds()
    return None if math.isnan(seconds) else max(seconds, 0.0)


def pause(attempt: int, asked: float | None, longest: float = LONGEST_PAUSE) -> float:
    """Seconds before the attempt after ``attempt`` (from 0): what the server asks for, at most ``longest``."""
    return min(_FIRST_PAUSE * 2.0 ** min(attempt, 30) if asked is None else asked, longest)
