"""Curve metrics on many cost-accuracy sweeps at once.

The formulas of :mod:`gym_stepwise_routing.evaluation.metrics` live here once, for arrays whose first axis is the point
of the sweep and whose other axes are anything (bootstrap resamples, training seeds). ``metrics`` calls them for one
sweep and turns the marks below into typed answers; ``bootstrap`` calls them for 10,000 resamples at a time.

Marks: ``nan`` is *undefined* (the anchors leave no gap to recover), ``+inf`` a cost that is *unreached*, ``-inf`` an
accuracy that no point of the sweep can afford. Infinities sort correctly among finite values, so percentiles of a
resampled metric keep their meaning.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "Anchors",
    "Array",
    "Curves",
    "accuracy_at",
    "aiq",
    "apgr",
    "cost_at",
    "cost_save",
    "cpt",
    "delta_ibc",
    "ibc",
    "pgr",
]

Array = NDArray[np.float64]

# Sums over the same problems in another order differ in the last bits. Cost shares are compared after rounding to this
# many decimals, and accuracy targets count as met within TOLERANCE, so that equal policies get equal metrics.
_DECIMALS = 12
TOLERANCE = 1e-12


@dataclass(frozen=True, kw_only=True, eq=False)
class Anchors:
    """Mean cost and accuracy of the two constant routers, measured on the same problems as the sweep.

    Attributes:
        cost_small: ``C_w``, mean cost of always-smallest, >= 0.
        accuracy_small: ``A_w``, share of problems that always-smallest gets right, in [0, 1].
        cost_large: ``C_s``, mean cost of always-largest, >= 0; 1 on the split that fixes the normalisation.
        accuracy_large: ``A_s``, share of problems that always-largest gets right, in [0, 1].
    """

    cost_small: float | Array
    accuracy_small: float | Array
    cost_large: float | Array
    accuracy_large: float | Array


@dataclass(frozen=True, kw_only=True, eq=False)
class Curves:
    """A batch of sweeps.

    Attributes:
        costs: mean cost of each point, ``float64[T, ...]``, in any order.
        accuracies: accuracy of each point, ``float64[T, ...]``.
        anchors: the constants; every field broadcasts against ``costs[0]``.
    """

    costs: Array
    accuracies: Array
    anchors: Anchors


def pgr(curves: Curves) -> Array:
    """Performance gap recovered ``(A - A_w) / (A_s - A_w)`` of every point, ``[T, ...]``; nan where ``A_s <= A_w``."""
    return _ratio(curves.accuracies - curves.anchors.accuracy_small, _accuracy_gap(curves))


def apgr(curves: Curves) -> Array:
    """Area under PGR over the cost share in [0, 1], ``[...]``; nan where ``A_s <= A_w`` or ``C_s <= C_w``."""
    shares, accuracies = _extended(curves)
    order = np.argsort(shares, axis=0, kind="stable")
    shares = np.take_along_axis(shares, order, axis=0)
    accuracies = _best_of_ties(shares, np.take_along_axis(accuracies, order, axis=0))
    area = 0.5 * (np.diff(shares, axis=0) * (accuracies[1:] + accuracies[:-1])).sum(axis=0)
    area = np.where(_cost_gap(curves) > 0.0, area, np.nan)
    return _ratio(area - curves.anchors.accuracy_small, _accuracy_gap(curves))


def cpt(curves: Curves, *, x: float) -> Array:
    """Least cost share in [0, 1) at which a point has PGR >= ``x``, ``[...]``; inf unreached, nan undefined."""
    recovered = pgr(curves)
    shares = _cost_share(curves)
    reached = (recovered >= x - TOLERANCE) & (shares < 1.0)
    least = np.where(reached, np.maximum(shares, 0.0), np.inf).min(axis=0)
    return np.where((_accuracy_gap(curves) > 0.0) & (_cost_gap(curves) > 0.0), least, np.nan)


def aiq(curves: Curves) -> Array:
    """Mean height of the non-decreasing concave envelope on [C_w, C_s], ``[...]``; nan where ``C_s <= C_w``."""
    shares, accuracies = _extended(curves)
    position = np.zeros(shares.shape[1:])
    height = np.where(shares <= 0.0, accuracies, -np.inf).max(axis=0)
    area = np.zeros(shares.shape[1:])
    climbing = np.ones(shares.shape[1:], dtype=bool)
    # Gift wrapping: from each vertex go to the point of steepest ascent. All sweeps of the batch advance together.
    while climbing.any():
        ahead = shares - position
        slopes = np.full(shares.shape, -np.inf)
        np.divide(accuracies - height, ahead, out=slopes, where=ahead > 0.0)
        steepest = np.expand_dims(slopes.argmax(axis=0), 0)
        climbing = np.take_along_axis(slopes, steepest, axis=0)[0] > 0.0
        next_position = np.where(climbing, np.take_along_axis(shares, steepest, axis=0)[0], position)
        next_height = np.where(climbing, np.take_along_axis(accuracies, steepest, axis=0)[0], height)
        area += 0.5 * (next_position - position) * (next_height + height)
        position, height = next_position, next_height
    area += (1.0 - position) * height
    return np.where(_cost_gap(curves) > 0.0, area, np.nan)


def ibc(curves: Curves, *, smallest_gap: float = 0.01) -> Array:
    """Incremental benefit per cost ``(A - A_w) / (C - C_w)`` of every point, ``[T, ...]``.

    nan where the point costs less than ``smallest_gap`` of ``C_s - C_w`` more than always-smallest, or ``C_s <= C_w``.
    """
    shares = _cost_share(curves)
    usable = (shares > 0.0) & (shares >= smallest_gap)
    gap = np.where(usable, curves.costs - curves.anchors.cost_small, np.nan)
    return _ratio(curves.accuracies - curves.anchors.accuracy_small, gap)


def delta_ibc(curves: Curves, *, smallest_gap: float = 0.01) -> Array:
    """``(IBC - IBC_s) / IBC_s`` of every point, ``[T, ...]``; nan where IBC is or ``A_s <= A_w``."""
    reference = _ratio(_accuracy_gap(curves), _cost_gap(curves))
    return _ratio(ibc(curves, smallest_gap=smallest_gap) - reference, reference)


def accuracy_at(curves: Curves, *, budget: float) -> Array:
    """Best accuracy among points that cost at most ``budget * C_s``, ``[...]``; -inf where none does."""
    affordable = curves.costs <= budget * curves.anchors.cost_large * (1.0 + TOLERANCE)
    best: Array = np.where(affordable, curves.accuracies, -np.inf).max(axis=0)
    return best


def cost_at(curves: Curves, *, share: float) -> Array:
    """Least cost among points with accuracy >= ``share * A_s``, ``[...]``; inf where none is."""
    reached = curves.accuracies >= share * curves.anchors.accuracy_large - TOLERANCE
    least: Array = np.where(reached, curves.costs, np.inf).min(axis=0)
    return least


def cost_save(curves: Curves) -> Array:
    """``1 - C / C_s`` at the cheapest point with accuracy >= A_s, ``[...]``; -inf where none is, nan where C_s is 0."""
    return 1.0 - _ratio(cost_at(curves, share=1.0), np.asarray(curves.anchors.cost_large))


def _ratio(numerator: Array, denominator: Array) -> Array:
    """``numerator / denominator``, nan wherever the denominator is not above zero."""
    numerator, denominator = np.broadcast_arrays(numerator, denominator)
    out = np.full(numerator.shape, np.nan)
    np.divide(numerator, denominator, out=out, where=denominator > 0.0)
    return out


def _accuracy_gap(curves: Curves) -> Array:
    return np.subtract(curves.anchors.accuracy_large, curves.anchors.accuracy_small)


def _cost_gap(curves: Curves) -> Array:
    return np.subtract(curves.anchors.cost_large, curves.anchors.cost_small)


def _cost_share(curves: Curves) -> Array:
    """``(C - C_w) / (C_s - C_w)``, ``[T, ...]``, rounded; nan where ``C_s <= C_w``."""
    return np.round(_ratio(curves.costs - curves.anchors.cost_small, _cost_gap(curves)), _DECIMALS)


def _extended(curves: Curves) -> tuple[Array, Array]:
    """The sweep with both anchors added and brought into the interval: cost shares and accuracies, ``[T + 2, ...]``.

    Points below C_w are moved up to C_w, points above C_s are replaced by always-largest (see ``metrics``).
    Undefined sweeps get share 0 everywhere, so that they can be computed with the others; callers mark them nan.
    """
    shares = np.nan_to_num(_cost_share(curves), nan=0.0)
    batch = shares.shape[1:]
    accuracy_small = np.broadcast_to(curves.anchors.accuracy_small, batch)
    accuracy_large = np.broadcast_to(curves.anchors.accuracy_large, batch)
    accuracies = np.where(shares > 1.0, accuracy_large, curves.accuracies)
    return (
        np.concatenate([np.zeros((1, *batch)), np.clip(shares, 0.0, 1.0), np.ones((1, *batch))]),
        np.concatenate([accuracy_small[None], accuracies, accuracy_large[None]]),
    )


def _best_of_ties(shares: Array, accuracies: Array) -> Array:
    """Give all points of equal cost the best accuracy among them; both arrays are sorted by share."""
    best = accuracies.copy()
    last = len(shares) - 1
    for i in range(last):
        np.maximum(best[i + 1], best[i], out=best[i + 1, ...], where=shares[i + 1] == shares[i])
    for i in range(last, 0, -1):
        np.maximum(best[i - 1], best[i], out=best[i - 1, ...], where=shares[i - 1] == shares[i])
    return best
