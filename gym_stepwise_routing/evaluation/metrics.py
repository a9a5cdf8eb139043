"""What a cost-accuracy sweep is worth: one number each, with the undefined cases spelt out.

Notation: A accuracy, C mean cost a problem, w always-smallest, s always-largest; a *sweep* is a set of points
``(c_i, a_i)``, one for each threshold, in any order and possibly repeated. Costs are normalised so that always-largest
costs 1 on the split that fixes the normalisation; the anchors are always measured on the problems at hand, so ``C_s``
may differ from 1 a little. The *cost share* of a point is ``(C - C_w) / (C_s - C_w)``.

**How a sweep meets the ends of [C_w, C_s]** (APGR and AIQ only). Both anchors are added to every sweep, since anyone
may play the constants. Points cheaper than always-smallest are moved up to C_w; points dearer than always-largest are
dropped; of points with the same cost the most accurate counts. Between neighbours the curve is straight: playing two
thresholds at random attains every point of that line. CPT, Acc@B, CostAt and CostSave speak of single thresholds that
one could deploy, so there nothing is added or interpolated.

**Answers.** ``None`` means undefined, unreached or unaffordable; each function says which. ``A_s <= A_w`` leaves no gap
to recover (with ``A_s < A_w`` PGR would reward errors), so everything built on PGR is undefined there; so is a cost
share where ``C_s <= C_w``.

Metrics that pick the best of several points (CPT, Acc@B, CostAt, CostSave) describe an *oracle sweep* when computed on
the test split: there, a headline uses the one point whose threshold the calibration split chose.

Sources: PGR, APGR and CPT from RouteLLM (arXiv 2406.18665), which draws them over the share of calls to the large model
and whose code interpolates CPT over accuracies that need not increase; IBC from AutoMix (arXiv 2310.12963); AIQ and the
zero router from RouterBench (arXiv 2403.12031), whose code divides by the largest cost rather than by the cost range.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from gym_stepwise_routing.evaluation import curves
from gym_stepwise_routing.evaluation.curves import Anchors, Array, Curves

__all__ = [
    "Anchors",
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


def pgr(accuracy: float, anchors: Anchors) -> float | None:
    """Performance gap recovered, ``(A - A_w) / (A_s - A_w)``: 0 is always-smallest, 1 always-largest, no bounds.

    Returns:
        None (undefined) where ``A_s <= A_w``.
    """
    return _answer(curves.pgr(_sweep([0.0], [accuracy], anchors))[0])


def apgr(costs: ArrayLike, accuracies: ArrayLike, anchors: Anchors) -> float | None:
    """Average PGR: area under PGR against the cost share in [0, 1]. Mixing the constants at random gives 0.5.

    The curve is taken as it is, dips included (no running maximum).

    Args:
        costs: mean cost of each point, ``[T]``, >= 0.
        accuracies: accuracy of each point, ``[T]``, in [0, 1].
        anchors: the constants, on the same problems.

    Returns:
        None (undefined) where ``A_s <= A_w`` or ``C_s <= C_w``.

    Raises:
        ValueError: arrays that are empty, of different lengths or out of range (as in all functions of this module).
    """
    return _answer(curves.apgr(_sweep(costs, accuracies, anchors)))


def cpt(costs: ArrayLike, accuracies: ArrayLike, anchors: Anchors, *, x: float) -> float | None:
    """Cost-performance threshold: the least cost share at which some point has PGR >= ``x``.

    This is where the running maximum of PGR over increasing cost first reaches ``x``. Below C_w counts as 0. A router
    that gets there only at the price of always-largest or above (threshold 0 is that constant) has not reached it.

    Args:
        costs: mean cost of each point, ``[T]``.
        accuracies: accuracy of each point, ``[T]``.
        anchors: the constants, on the same problems.
        x: share of the gap to recover, > 0; 0.95 for CPT95.

    Returns:
        A share in [0, 1); None where unreached, and where undefined (``A_s <= A_w`` or ``C_s <= C_w``; ``apgr`` is None
        in that case only).
    """
    if not x > 0 or not math.isfinite(x):
        raise ValueError(f"x={x!r} must be a finite number above 0")
    return _answer(curves.cpt(_sweep(costs, accuracies, anchors), x=x))


def ibc(cost: float, accuracy: float, anchors: Anchors, *, smallest_gap: float = 0.01) -> float | None:
    """Incremental benefit per cost of one point, ``(A - A_w) / (C - C_w)``, accuracy per unit of normalised cost.

    Args:
        cost: mean cost of the point.
        accuracy: its accuracy.
        anchors: the constants, on the same problems.
        smallest_gap: least cost share, >= 0, for which the quotient is given: near C_w it is noise over nothing.

    Returns:
        None (undefined) where the cost share is not above 0 or is below ``smallest_gap``, or ``C_s <= C_w``.
    """
    _check_gap(smallest_gap)
    return _answer(curves.ibc(_sweep([cost], [accuracy], anchors), smallest_gap=smallest_gap)[0])


def delta_ibc(cost: float, accuracy: float, anchors: Anchors, *, smallest_gap: float = 0.01) -> float | None:
    """Lift of a point's IBC over always-largest's, ``(IBC - IBC_s) / IBC_s``: 0 on the line between the constants.

    Args:
        cost: mean cost of the point.
        accuracy: its accuracy.
        anchors: the constants, on the same problems.
        smallest_gap: as in :func:`ibc`.

    Returns:
        None (undefined) where IBC is, or ``A_s <= A_w``.
    """
    _check_gap(smallest_gap)
    return _answer(curves.delta_ibc(_sweep([cost], [accuracy], anchors), smallest_gap=smallest_gap)[0])


def aiq(costs: ArrayLike, accuracies: ArrayLike, anchors: Anchors) -> float | None:
    """Average improvement in quality: area under the non-decreasing concave envelope, divided by ``C_s - C_w``.

    An accuracy in [0, 1]. The envelope holds the anchors too, so no router falls below the zero router of the pair.

    Returns:
        None (undefined) where ``C_s <= C_w``.
    """
    return _answer(curves.aiq(_sweep(costs, accuracies, anchors)))


def accuracy_at(costs: ArrayLike, accuracies: ArrayLike, anchors: Anchors, *, budget: float) -> float | None:
    """Acc@B: the best accuracy among points with ``C <= budget * C_s``.

    Returns:
        None where no point of the sweep is affordable.
    """
    if not budget > 0:
        raise ValueError(f"budget={budget!r} must be above 0; it is a share of always-largest's cost")
    return _answer(curves.accuracy_at(_sweep(costs, accuracies, anchors), budget=budget))


def cost_at(costs: ArrayLike, accuracies: ArrayLike, anchors: Anchors, *, share: float) -> float | None:
    """CostAt(y): the least cost (in the units of ``costs``) among points with ``A >= share * A_s``.

    Returns:
        None where unreached.
    """
    if not share > 0 or not math.isfinite(share):
        raise ValueError(f"share={share!r} must be a finite number above 0; it is a share of always-largest's accuracy")
    return _answer(curves.cost_at(_sweep(costs, accuracies, anchors), share=share))


def cost_save(costs: ArrayLike, accuracies: ArrayLike, anchors: Anchors) -> float | None:
    """CostSave: ``1 - C / C_s`` at the cheapest point with ``A >= A_s``; negative if that point is dearer than s.

    Returns:
        None where no point is as accurate as always-largest (unreached), or ``C_s = 0`` (undefined).
    """
    return _answer(curves.cost_save(_sweep(costs, accuracies, anchors)))


def _sweep(costs: ArrayLike, accuracies: ArrayLike, anchors: Anchors) -> Curves:
    points = _vector("costs", costs), _vector("accuracies", accuracies, top=1.0)
    if len(points[0]) != len(points[1]):
        raise ValueError(f"costs has {len(points[0])} points and accuracies {len(points[1])}; they must be as many")
    _vector("anchors' costs", [float(anchors.cost_small), float(anchors.cost_large)])
    _vector("anchors' accuracies", [float(anchors.accuracy_small), float(anchors.accuracy_large)], top=1.0)
    return Curves(costs=points[0], accuracies=points[1], anchors=anchors)


def _vector(name: str, values: ArrayLike, top: float = math.inf) -> Array:
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1 or not array.size:
        raise ValueError(f"{name} has shape {array.shape} and must be a vector with at least one value")
    if not np.isfinite(array).all() or array.min() < 0.0 or array.max() > top:
        allowed = "finite and >= 0" if math.isinf(top) else f"in [0, {top:g}]"
        raise ValueError(f"{name}={np.array2string(array, threshold=5)} must be {allowed}")
    return array


def _check_gap(smallest_gap: float) -> None:
    if not 0.0 <= smallest_gap < 1.0:
        raise ValueError(f"smallest_gap={smallest_gap!r} must lie in [0, 1)")


def _answer(value: np.float64 | Array) -> float | None:
    return float(value) if np.isfinite(value) else None
