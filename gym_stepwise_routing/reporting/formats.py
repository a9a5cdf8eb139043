"""How numbers are written: one format of intervals, in tables and pages alike."""

from __future__ import annotations

import math

from gym_stepwise_routing.evaluation.bootstrap import Interval

__all__ = ["brief_text", "interval_text", "span_text"]


def interval_text(interval: Interval | None, *, signed: bool = False) -> str:
    """Estimate and limits to three places; or that it is undefined, unreached (a cost) or unaffordable (an accuracy).

    Args:
        interval: the interval; None is undefined.
        signed: give signs, for a difference.
    """
    if interval is None:
        return "undefined"
    if math.isinf(interval.estimate):
        return "unreached" if interval.estimate > 0 else "unaffordable"
    return span_text(interval.estimate, interval.low, interval.high, signed=signed)


def span_text(estimate: float, low: float, high: float, *, signed: bool = False) -> str:
    """The same of three numbers; limits may be infinite."""
    first, lower, upper = (_number(value, signed) for value in (estimate, low, high))
    return f"{first} [{lower}, {upper}]"


def brief_text(interval: Interval | None) -> str:
    """The estimate and half the width, to fit a terminal."""
    if interval is None or math.isinf(interval.estimate):
        return interval_text(interval)
    half = (interval.high - interval.low) / 2
    return f"{interval.estimate:.3f} ±{half:.2f}" if math.isfinite(half) else f"{interval.estimate:.3f} ±∞"


def _number(value: float, signed: bool) -> str:
    if math.isinf(value):
        return "∞" if value > 0 else "-∞"
    return f"{value:+.3f}" if signed else f"{value:.3f}"
