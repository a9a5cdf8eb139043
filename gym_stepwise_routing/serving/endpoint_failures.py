"""What can go wrong with an endpoint, as the server tells it."""

from __future__ import annotations

import openai

from gym_stepwise_routing.generators.generator import Failure
from gym_stepwise_routing.generators.openai_answers import reason_of

__all__ = ["BrokenError", "ContinuationError", "UnreadableError", "failure_of"]


class BrokenError(Exception):
    """A stream that ended before its end."""


class ContinuationError(Exception):
    """The endpoint does not go on with a half-written answer in the way that the pool file says."""


class UnreadableError(Exception):
    """An answer without what is needed, such as the counts of its tokens."""


def failure_of(name: str, error: BaseException) -> tuple[Failure | None, float | None]:
    """The failure that an exception stands for, and the pause that the endpoint asks for; None: not the endpoint's."""
    if isinstance(error, openai.APIStatusError):
        overloaded = error.status_code in (408, 409, 429) or error.status_code >= 500
        pause = _seconds(error.response.headers.get("retry-after"))
        return Failure(f"{name}: status {error.status_code} ({reason_of(error)})", retryable=overloaded), pause
    if isinstance(error, openai.APITimeoutError | TimeoutError):
        return Failure(f"{name}: too slow", retryable=True), None
    if isinstance(error, openai.APIConnectionError):
        return Failure(f"{name}: no connection ({reason_of(error)})", retryable=True), None
    if isinstance(error, ContinuationError):
        return Failure(f"{name}: {reason_of(error)}", retryable=False), None
    if isinstance(error, BrokenError):
        return Failure(f"{name}: broke off ({reason_of(error)})", retryable=True), None
    if isinstance(error, UnreadableError):
        return Failure(f"{name}: an answer that cannot be read ({reason_of(error)})", retryable=True), None
    transport = type(error).__module__.partition(".")[0] in ("httpx", "httpx2", "httpcore", "httpcore2", "anyio")
    if transport and isinstance(error, Exception):
        return Failure(f"{name}: broke off ({type(error).__name__})", retryable=True), None
    return None, None


def _seconds(text: str | None) -> float | None:
    try:
        return None if text is None else max(float(text), 0.0)
    except ValueError:
        return None
