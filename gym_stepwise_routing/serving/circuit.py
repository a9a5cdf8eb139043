"""A circuit breaker: an endpoint that keeps failing is left alone for a while, then tried with one request."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Literal

__all__ = ["Circuit", "CircuitState"]

CircuitState = Literal["closed", "open", "half-open"]


class Circuit:
    """Closed: requests pass. Open: none does. Half-open: one passes, and its outcome decides.

    Time is that of a monotonic clock: a clock on the wall may jump.

    Args:
        failures: failures in a row that open it, >= 1.
        cooldown: seconds that it stays open the first time, > 0; each failed trial doubles them.
        longest: most seconds that it stays open.
        clock: seconds, never going back.
    """

    def __init__(
        self, *, failures: int, cooldown: float, longest: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._most = failures
        self._first = cooldown
        self._longest = longest
        self._clock = clock
        self._failures = 0
        self._wait = cooldown
        self._until: float | None = None
        self._trying = False

    @property
    def state(self) -> CircuitState:
        """Where it stands."""
        if self._until is None:
            return "closed"
        return "half-open" if self._trying or self._clock() >= self._until else "open"

    @property
    def seconds_left(self) -> float:
        """Seconds until a request may pass again, 0 if one may now."""
        return 0.0 if self._until is None else max(self._until - self._clock(), 0.0)

    def admit(self) -> bool:
        """Whether a request may pass; in the half-open state it is the one trial."""
        if self._until is None:
            return True
        if self._trying or self._clock() < self._until:
            return False
        self._trying = True
        return True

    def success(self) -> None:
        """A request came back."""
        self._failures, self._wait, self._until, self._trying = 0, self._first, None, False

    def failure(self, retry_after: float | None = None) -> None:
        """A request came to nothing; ``retry_after`` seconds, if the endpoint asked for a pause, open it at once."""
        self._failures += 1
        if self._trying:
            self._wait = min(2 * self._wait, self._longest)
        if retry_after is not None or self._trying or self._failures >= self._most:
            pause = self._wait if retry_after is None else min(max(retry_after, self._first), self._longest)
            self._until = self._clock() + pause
        self._trying = False

    def abandoned(self) -> None:
        """A request was given up by whoever asked: that says nothing of the endpoint."""
        self._trying = False
