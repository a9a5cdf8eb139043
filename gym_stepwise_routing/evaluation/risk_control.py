"""Which thresholds of a sweep may be promised: fixed-sequence testing and conformal risk control.

Losses come as ``[T, n]``: one row a threshold, in the order in which thresholds are tried, **safest first**. For
accuracy that is from threshold 0 (always-largest) towards cheaper ones; for a cost limit it is the other way round. The
order must not depend on the calibration items.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from gym_stepwise_routing.errors import check_choice
from gym_stepwise_routing.evaluation.p_values import METHODS, Array, Method, check_level, p_value, required_n

__all__ = [
    "CannotCertify",
    "Certified",
    "Risk",
    "certify",
    "control_expectation",
    "expected_loss_bounds",
    "fixed_sequence",
]


@dataclass(frozen=True, kw_only=True, eq=False)
class Risk:
    """One bounded risk that is to stay at or below ``alpha``.

    Attributes:
        losses: loss of each item at each threshold, ``[T, n]``, safest threshold first, in [0, upper].
        alpha: highest tolerated mean loss, in (0, upper).
        upper: a bound no loss can exceed (see :mod:`.bounds` for costs).
        method: ``"exact"`` for losses of 0 and 1, ``"ltt"`` (Hoeffding-Bentkus) for any.

    Raises:
        ValueError: no items, losses or alpha out of range, or losses other than 0 and 1 under ``"exact"``.
    """

    losses: ArrayLike
    alpha: float
    upper: float = 1.0
    method: Method = "exact"

    def __post_init__(self) -> None:
        check_choice("method", self.method, METHODS)
        check_level("alpha", self.alpha, self.upper)
        losses = _checked(self.losses, self.upper)
        if self.method == "exact" and not np.isin(losses, (0.0, 1.0)).all():
            raise ValueError("method='exact' is for losses of 0 and 1; use method='ltt' for others")
        object.__setattr__(self, "losses", losses)

    def p_values(self) -> Array:
        """P-value of each threshold, ``[T]``."""
        losses = np.asarray(self.losses)
        return p_value(losses.sum(axis=1), losses.shape[1], self.alpha, upper=self.upper, method=self.method)


@dataclass(frozen=True, kw_only=True)
class Certified:
    """Thresholds that keep the promise.

    Attributes:
        accepted: rows of the losses that were accepted, in increasing order. With probability >= 1 - delta *all* of
            them keep every risk, so the caller may choose among them freely, by cost for example. (For
            ``control_expectation`` it is the last one that does, in expectation.)
        statistics: for each accepted row its p-value, or its bound on the expected risk.
        n: number of calibration items (of several risks: the largest).
        delta: highest probability that the promise is wrong; None for a promise in expectation.
    """

    accepted: tuple[int, ...]
    statistics: tuple[float, ...]
    n: int
    delta: float | None


@dataclass(frozen=True, kw_only=True)
class CannotCertify:
    """No threshold can be promised with these items; an answer, not an error.

    Attributes:
        reason: one sentence for the user.
        n: number of calibration items.
        items_needed: items at which the safest threshold would be accepted if its mean loss stayed what it is; None if
            no number of items helps, because that loss is not below the limit (or hardly: see ``bounds.MOST_ITEMS``).
    """

    reason: str
    n: int
    items_needed: int | None


def fixed_sequence(p_values: ArrayLike, delta: float, *, starts: Sequence[int] = (0,)) -> tuple[int, ...]:
    """Fixed-sequence testing: from each start accept while ``p <= delta / len(starts)``, stop at the first failure.

    The probability of accepting any row whose risk is above the limit is at most ``delta`` (Learn then Test, arXiv
    2110.01052, algorithm 1), without any assumption on how the risk changes along the sequence.

    Args:
        p_values: super-uniform p-values in testing order, ``[T]``.
        delta: family-wise error level, in (0, 1).
        starts: rows to start from, distinct, chosen without looking at the p-values.

    Returns:
        The accepted rows, increasing; empty if every start fails.
    """
    check_level("delta", delta)
    values = np.asarray(p_values, dtype=np.float64)
    if not starts or len(set(starts)) != len(starts) or not all(0 <= start < len(values) for start in starts):
        raise ValueError(f"starts={tuple(starts)!r} must be distinct rows in [0, {len(values)})")
    accepted: set[int] = set()
    for start in starts:
        failures = np.flatnonzero(~(values[start:] <= delta / len(starts)))
        accepted.update(range(start, start + int(failures[0]) if failures.size else len(values)))
    return tuple(sorted(accepted))


def certify(risks: Sequence[Risk], *, delta: float, starts: Sequence[int] = (0,)) -> Certified | CannotCertify:
    """Thresholds at which every risk is at most its alpha, with probability >= 1 - delta over the calibration items.

    Several risks are tested together by the larger p-value: a threshold breaks the promise only if *some* risk is above
    its limit there, and the larger p-value is super-uniform for each.

    **Accuracy and cost together** need ``starts``: at the first row, safest for accuracy, the cost is highest, so a
    single sequence from there fails at once. Give a few rows spread evenly over the sweep; each is tested at
    ``delta / len(starts)``.

    Args:
        risks: at least one; the same thresholds in the same order. The items of one may be a subset of another's
            that the thresholds have no part in, such as the problems that always-largest solves.
        delta: highest tolerated probability that the promise is wrong, in (0, 1).
        starts: rows from which to test onwards, chosen without looking at the losses.

    Raises:
        ValueError: no risks, different numbers of thresholds, or parameters out of range.
    """
    rows = {len(np.asarray(risk.losses)) for risk in risks}
    if len(rows) != 1:
        raise ValueError(f"risks have {sorted(rows)} thresholds; give at least one risk, all at the same thresholds")
    p_values = np.max([risk.p_values() for risk in risks], axis=0)
    n = max(np.shape(risk.losses)[1] for risk in risks)
    accepted = fixed_sequence(p_values, delta, starts=starts)
    if accepted:
        return Certified(accepted=accepted, statistics=tuple(p_values[list(accepted)].tolist()), n=n, delta=delta)
    level = delta / len(starts)
    per_start = [[_needed(risk, start, level) for risk in risks] for start in starts]
    needed = min((max(filter(None, row)) for row in per_start if None not in row), default=None)
    limits = " and ".join(f"risk <= {risk.alpha:g}" for risk in risks)
    reason = (
        f"{n} items cannot certify {limits} at delta={delta:g}: where testing starts, the p-value is "
        f"{p_values[list(starts)].min():.3g} at best and must be at most {level:.3g}"
    )
    return CannotCertify(reason=_with_need(reason, needed), n=n, items_needed=needed)


def control_expectation(losses: ArrayLike, alpha: float, *, upper: float = 1.0) -> Certified | CannotCertify:
    """Conformal risk control: the last threshold whose expected loss on a new item is at most ``alpha``.

    Accepts rows while :func:`expected_loss_bounds` are at most ``alpha``. The promise is an expectation over
    calibration items and the new one together, weaker than :func:`certify`'s.

    Args:
        losses: ``[T, n]``, safest threshold first, in [0, upper].
        alpha: highest tolerated expected loss, in (0, upper).
        upper: a bound no loss can exceed.

    Returns:
        The accepted rows, of which the last is the one that is promised.

    Raises:
        ValueError: as :class:`Risk`; or a loss above alpha at the safest threshold, which the theorem excludes.
            Relative correctness has loss 0 there; for absolute accuracy use :func:`certify`.
    """
    check_level("alpha", alpha, upper)
    array = _checked(losses, upper)
    if array[0].max() > alpha:
        raise ValueError(
            f"the safest threshold has a loss of {array[0].max():g} on some item, above alpha={alpha:g}: conformal "
            "risk control needs a threshold that never exceeds alpha; use method 'exact' or 'ltt'"
        )
    n = array.shape[1]
    bounds = expected_loss_bounds(array, upper=upper)
    accepted = tuple(range(int(np.count_nonzero(bounds <= alpha))))
    if accepted:
        return Certified(accepted=accepted, statistics=tuple(bounds[: len(accepted)].tolist()), n=n, delta=None)
    mean = float(array[0].mean())
    needed = int(np.ceil((upper - alpha) / (alpha - mean))) if mean < alpha else None
    reason = f"{n} items bound the expected loss by {bounds[0]:.3g} at the safest threshold, not by alpha={alpha:g}"
    return CannotCertify(reason=_with_need(reason, needed), n=n, items_needed=needed)


def expected_loss_bounds(losses: Array, *, upper: float = 1.0, redrawn: bool = False) -> Array:
    """Bound of the expected loss on a new item at each threshold, ``[T]``, never falling: ``n/(n+1) R + upper/(n+1)``.

    Conformal risk control (Angelopoulos et al., arXiv 2208.02814). The theorem needs each item's loss to be
    non-decreasing along the rows, which routing does not give: a cheaper threshold may happen to be right again. Each
    item's loss is therefore replaced by its running maximum from the safe side, which bounds it; R is the mean of
    those.

    Where every row draws an item's loss anew, the largest of its draws says nothing about any threshold, and grows with
    their number: ``redrawn`` takes the running maximum of the *mean*, which is enough only as n grows.

    Args:
        losses: ``[T, n]``, safest threshold first, in [0, upper].
        upper: a bound no loss can exceed.
        redrawn: the losses of an item in two rows are two random draws.
    """
    largest = losses if redrawn else np.maximum.accumulate(losses, axis=0)
    total = np.maximum.accumulate(largest.sum(axis=1))
    bounds: Array = (total + upper) / (losses.shape[1] + 1)
    return bounds


def _checked(losses: ArrayLike, upper: float) -> Array:
    array = np.asarray(losses, dtype=np.float64)
    if array.ndim != 2 or 0 in array.shape:
        raise ValueError(f"losses has shape {array.shape} and must be [thresholds, items], with at least one of each")
    if not ((array >= 0.0) & (array <= upper)).all():
        raise ValueError(f"losses must lie in [0, upper={upper:g}]; they reach from {array.min():g} to {array.max():g}")
    return array


def _needed(risk: Risk, row: int, level: float) -> int | None:
    """Items at which this risk alone would pass at this row, if its mean loss stayed."""
    losses = np.asarray(risk.losses)[row]
    n = len(losses)
    if risk.p_values()[row] <= level:
        return n
    return required_n(risk.alpha, level, risk=float(losses.mean()), upper=risk.upper, method=risk.method, more_than=n)


def _with_need(reason: str, needed: int | None) -> str:
    if needed is None:
        return f"{reason}; at the loss observed there no number of items would do"
    return f"{reason}; at the loss observed there {needed} items would do"
