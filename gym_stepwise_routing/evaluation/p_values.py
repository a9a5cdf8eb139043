"""P-values for "the risk is above alpha", and how many calibration items a promise takes.

Calibration item i has a loss ``L_i(t)`` in [0, upper] at threshold t, and the risk is its expectation over problems.
Two losses matter here: relative correctness, 1 where always-largest is right and the routed answer wrong (upper 1), and
the cost of an episode (upper: see below). All p-values are *super-uniform*: whatever the distribution of the losses, as
long as the items are independent draws with risk >= alpha, ``P(p <= u) <= u`` for every u.

==========  ==================  ==============================================================================
method      losses              p-value
==========  ==================  ==============================================================================
``exact``   0 or 1              ``P(Bin(n, alpha) <= k)``, k the number of errors
``ltt``     any in [0, upper]   Hoeffding-Bentkus, the smaller of ``exp(-n h1(min(R, alpha), alpha))`` and
                                ``e P(Bin(n, alpha) <= ceil(n R))`` with R the mean loss and
                                ``h1(y, m) = y ln(y/m) + (1-y) ln((1-y)/(1-m))``
==========  ==================  ==============================================================================

Hoeffding-Bentkus is from Bates et al. (arXiv 2101.02703), as used by Learn then Test (Angelopoulos et al., arXiv
2110.01052). For 0-1 losses the exact p-value is never larger than either of its parts.

**Cost as a loss.** ``upper`` must bound the cost of *every* episode the router could meet, not of those observed: the
step cap times the dearest step that is conceivable; or a hard budget plus that step, since an episode ends only once it
has exceeded its budget. Both are in the units of the losses, where always-largest costs 1 on average on the *train*
split; a game's budget is in units of the split that is played, unless its normaliser is given. The largest cost seen in
the calibration set is not such a bound. Losses and alpha are divided by it, so a loose bound needs more items.
"""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special, stats

from gym_stepwise_routing.errors import check_choice

__all__ = [
    "METHODS",
    "MOST_ITEMS",
    "Method",
    "certifiable_errors",
    "check_level",
    "exact_interval",
    "exact_p_value",
    "hoeffding_bentkus_p_value",
    "p_value",
    "required_n",
]

Array = NDArray[np.float64]
Method = Literal["exact", "ltt"]
METHODS: tuple[Method, ...] = get_args(Method)

MOST_ITEMS = 1_000_000
"""``required_n`` looks no further than this."""


def exact_p_value(errors: ArrayLike, n: ArrayLike, alpha: float) -> Array:
    """Exact binomial p-value ``P(Bin(n, alpha) <= errors)``.

    Args:
        errors: number of items with loss 1, whole, in [0, n]; any shape.
        n: number of items, >= 1; broadcasts against ``errors``.
        alpha: highest tolerated risk, in (0, 1).

    Returns:
        P-values in [0, 1], in the broadcast shape.

    Raises:
        ValueError: a count that is not whole or out of range, or alpha outside (0, 1).
    """
    check_level("alpha", alpha)
    counts, items = _totals(errors, n, upper=1.0)
    if (counts != np.rint(counts)).any():
        raise ValueError("errors must be whole numbers: method='exact' is for losses of 0 and 1; use method='ltt'")
    return np.asarray(stats.binom.cdf(counts, items, alpha), dtype=np.float64)


def exact_interval(count: int, n: int, level: float = 0.95) -> tuple[float, float]:
    """Limits of the exact (Clopper-Pearson) interval of a share, ``count`` of ``n`` >= 1.

    Raises:
        ValueError: a count out of range, or a level outside (0, 1).
    """
    found = stats.binomtest(count, n).proportion_ci(level, method="exact")
    return float(found.low), float(found.high)


def hoeffding_bentkus_p_value(total: ArrayLike, n: ArrayLike, alpha: float, *, upper: float = 1.0) -> Array:
    """Hoeffding-Bentkus p-value for losses in [0, upper].

    Args:
        total: sum of the losses, in [0, n * upper]; any shape. The sum, not the mean: sums of whole losses are exact,
            so that ``ceil(n R)`` is.
        n: number of items, >= 1; broadcasts against ``total``.
        alpha: highest tolerated risk in the units of the loss, in (0, upper).
        upper: a bound no loss can exceed, > 0.

    Returns:
        P-values in [0, 1], in the broadcast shape.

    Raises:
        ValueError: a total out of range, or alpha outside (0, upper): a risk limit at or above the bound always holds.
    """
    check_level("alpha", alpha, upper)
    totals, items = _totals(total, n, upper=upper)
    scaled, level = totals / upper, alpha / upper
    mean = np.minimum(scaled / items, level)
    hoeffding = np.exp(-items * (special.rel_entr(mean, level) + special.rel_entr(1.0 - mean, 1.0 - level)))
    bentkus = np.e * stats.binom.cdf(np.ceil(scaled), items, level)
    return np.asarray(np.minimum(np.minimum(hoeffding, bentkus), 1.0), dtype=np.float64)


def p_value(total: ArrayLike, n: ArrayLike, alpha: float, *, upper: float = 1.0, method: Method = "exact") -> Array:
    """The p-value of ``method`` for the sum of losses ``total``; arguments as in the function of that method."""
    check_choice("method", method, METHODS)
    if method == "ltt":
        return hoeffding_bentkus_p_value(total, n, alpha, upper=upper)
    if upper != 1.0:
        raise ValueError(f"upper={upper!r}: method='exact' is for losses of 0 and 1; use method='ltt'")
    return exact_p_value(total, n, alpha)


def certifiable_errors(n: int, alpha: float, delta: float) -> int | None:
    """The most errors among n items at which ``risk <= alpha`` is still certified by the exact binomial.

    Args:
        n: number of items, >= 1.
        alpha: highest tolerated risk, in (0, 1).
        delta: highest tolerated probability of a wrong certificate, in (0, 1).

    Returns:
        The largest k with ``P(Bin(n, alpha) <= k) <= delta``; None if even 0 errors are not enough.
    """
    check_level("delta", delta)
    certified = np.flatnonzero(exact_p_value(np.arange(n + 1), n, alpha) <= delta)
    return int(certified[-1]) if certified.size else None


def required_n(
    alpha: float,
    delta: float,
    *,
    risk: float = 0.0,
    upper: float = 1.0,
    method: Method = "exact",
    more_than: int = 0,
) -> int | None:
    """How many calibration items certify ``risk <= alpha``, if the mean loss turns out as ``risk``.

    Args:
        alpha: highest tolerated risk, in (0, upper).
        delta: highest tolerated probability of a wrong certificate, in (0, 1).
        risk: mean loss to expect, in [0, upper]; for ``exact`` the errors among n are rounded up.
        upper: a bound no loss can exceed.
        method: p-value to use.
        more_than: look only at numbers of items above this.

    Returns:
        The fewest items above ``more_than``, or None if ``risk >= alpha``, where no number helps, or if more than
        ``MOST_ITEMS`` would be needed.
    """
    check_level("delta", delta)
    check_level("alpha", alpha, upper)
    if not 0.0 <= risk <= upper:
        raise ValueError(f"risk={risk!r} must lie in [0, {upper:g}]")
    if risk >= alpha:
        return None
    first = more_than + 1
    # The p-value does not fall steadily with n (errors come in whole numbers), so every n is tried, in growing blocks.
    while first <= MOST_ITEMS:
        n = np.arange(first, min(2 * first + 64, MOST_ITEMS + 1))
        # A sum of n losses may come out a hair above n * risk, which matters where that is a whole number.
        total = np.minimum(np.ceil(n * risk), n) if method == "exact" else n * risk * (1.0 + 1e-12)
        certified = np.flatnonzero(p_value(total, n, alpha, upper=upper, method=method) <= delta)
        if certified.size:
            return int(n[certified[0]])
        first = int(n[-1]) + 1
    return None


def check_level(name: str, value: float, upper: float = 1.0) -> None:
    """Raise ``ValueError`` unless ``0 < value < upper`` and ``upper`` is finite."""
    if not np.isfinite(upper) or not 0.0 < value < upper:
        raise ValueError(f"{name}={value!r} must lie strictly between 0 and {upper:g}, which must be finite")


def _totals(total: ArrayLike, n: ArrayLike, *, upper: float) -> tuple[Array, NDArray[np.int64]]:
    totals, items = np.broadcast_arrays(np.asarray(total, dtype=np.float64), np.asarray(n))
    if not np.issubdtype(items.dtype, np.integer) or (items < 1).any():
        raise ValueError(f"n={n!r} must be a whole number of items, at least 1")
    # n losses of exactly ``upper`` may sum to a hair more.
    if not ((totals >= 0.0) & (totals <= items * upper * (1.0 + 1e-9))).all():
        raise ValueError(f"the sum of {np.max(items)} losses must lie in [0, n * {upper:g}], not be {total!r}")
    return totals, items.astype(np.int64)
