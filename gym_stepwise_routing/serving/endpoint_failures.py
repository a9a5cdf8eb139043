"""What can go wrong with an endpoint, as the server tells it."""

from __future__ import annotations

import aiohttp

from gym_stepwise_routing.generators.attempts import asked_seconds, is_overload
from gym_stepwise_routing.generators.generator import Failure
from gym_stepwise_routing.generators.openai_answers import reason_of

__all__ = ["BrokenError", "ContinuationError", "StatusError", "UnreadableError", "failure_of"]


class BrokenError(Exception):
    """A stream that ended before its end."""


class ContinuationError(Exception):
    """The endpoint does not go on with a half-written answer in the way that the pool file says."""


class UnreadableError(Exception):
    """An answer without what is needed, such as the counts of its tokens."""


class StatusError(Exception):
    """An answer with a status that is no success.

    Attributes:
        status: HTTP status.
        retry_after: the header of this name, None where there is none.
    """

    def __init__(self, status: int, said: str, retry_after: str | None) -> None:
        super().__init__(said)
        self.status = status
        self.retry_after = retry_after


def failure_of(name: str, error: BaseException) -> tuple[Failure | None, float | None]:
    """The failure that an exception stands for, and the pause that the endpoint asks for; None: not the endpoint's."""
    if isinstance(error, StatusError):
        reason = f"{name}: status {error.status} ({reason_of(error)})"
        return Failure(reason, retryable=is_overload(error.status)), asked_seconds(error.retry_after)
    if isinstance(error, ContinuationError):
        return Failure(f"{name}: {reason_of(error)}", retryable=False), None
    if isinstance(error, BrokenError):
        return Failure(f"{name}: broke off ({reason_of(error)})", retryable=True), None
    if isinstance(error, UnreadableError):
        return Failure(f"{name}: an answer that cannot be read ({reason_of(error)})", retryable=True), None
    if isinstance(error, TimeoutError):
        return Failure(f"{name}: too slow", retryable=True), None
    if isinstance(error, aiohttp.ClientConnectorError):
        return Failure(f"{name}: no connection ({reason_of(error.os_error)})", retryable=True), None
    if isinstance(error, aiohttp.ClientError):
        return Failure(f"{name}: broke off ({type(error).__name__})", retryable=True), None
    return None, None
