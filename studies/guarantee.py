"""Does the promise hold? Calibration repeated on many random samples of problems, and how often it was broken.

A router's sweep is played once, ``right[T, n]``; every repetition is then a choice of rows. Two designs:

- *resampling*: the ``n`` recorded problems stand for the world. A calibration set is drawn from them with replacement,
  and the true risk of the threshold chosen is its mean over all of them: known, not estimated.
- *halves*: one half calibrates, the other tests. The test half is finite (and what one half lacks the other has), so
  its risk swings about the true one and exceeds alpha more often than delta allows: that is no broken promise.

A drifted world is the same problems with other weights. The promise says nothing about it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gym_stepwise_routing.calibration.certificate import CalibrationMethod
from gym_stepwise_routing.errors import check_choice
from gym_stepwise_routing.evaluation.evaluate import Sweep
from gym_stepwise_routing.evaluation.p_values import METHODS, check_level, p_value
from gym_stepwise_routing.routers.base import ALWAYS_LARGEST
from studies.shares import Share

__all__ = ["Repetitions", "choose", "halves", "resampled"]

Array = NDArray[np.float64]
STUDIED: tuple[CalibrationMethod, ...] = ("exact", "ltt", "crc", "empirical")
_CHUNK = 250
"""Repetitions held at once."""


@dataclass(frozen=True, slots=True, eq=False)
class Repetitions:
    """What calibration chose in ``S`` repetitions, and how that fares.

    Attributes:
        alpha: highest tolerated risk.
        rows: ``int64[S]`` chosen row of the sweep.
        certified: ``bool[S]`` some threshold was accepted; where none was, the row is always-largest.
        risk: ``float64[S]`` risk of the chosen row on the problems it is tested on.
        cost: ``float64[S]`` its mean cost there.
    """

    alpha: float
    rows: NDArray[np.int64]
    certified: NDArray[np.bool_]
    risk: Array
    cost: Array

    @property
    def violations(self) -> Share:
        """Repetitions whose risk is above alpha; a sum of equal shares may exceed it by a rounding error only."""
        return Share.of(self.risk > self.alpha + 1e-12)


def choose(
    errors: Array, items: Array, cost: Array, *, alpha: float, delta: float, method: CalibrationMethod
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """The row that :func:`gym_stepwise_routing.calibration.calibrate` would choose, for many samples at once.

    Args:
        errors: ``float64[S, T]`` errors of each row, always-largest first; for ``crc`` of the losses' running maximum.
        items: ``float64[S]`` items that count.
        cost: ``float64[S, T]`` total cost.
        alpha: highest tolerated risk.
        delta: highest tolerated probability of a broken promise.
        method: how to choose.

    Returns:
        Rows ``int64[S]`` and whether any was accepted ``bool[S]``; row 0 where none was.
    """
    at_least_one = np.maximum(items, 1)[:, None]
    accepted: NDArray[np.bool_]
    if method in METHODS:
        p = p_value(errors, np.broadcast_to(at_least_one.astype(np.int64), errors.shape), alpha, method=method)  # type: ignore[arg-type]
        accepted = np.logical_and.accumulate(p <= delta, axis=1)
    elif method == "crc":
        accepted = np.logical_and.accumulate((errors + 1) / (at_least_one + 1) <= alpha, axis=1)
    else:
        accepted = np.less_equal(errors / at_least_one, alpha)
    accepted = np.where(items[:, None] > 0, accepted, False)
    if method == "crc":
        rows = np.maximum(accepted.sum(axis=1) - 1, 0)
    else:
        rows = np.where(accepted, cost, np.inf).argmin(axis=1)
    certified = np.asarray(accepted.any(axis=1), dtype=np.bool_)
    return np.where(certified, rows, 0), certified


def resampled(
    sweep: Sweep,
    *,
    n: int,
    alpha: float,
    delta: float,
    method: CalibrationMethod,
    repetitions: int,
    seed: int = 0,
    drift: Array | None = None,
    relative: bool = True,
) -> Repetitions:
    """Calibrate on samples drawn with replacement; test on the problems that they are drawn from.

    Args:
        sweep: a router's sweep that starts at threshold 0.
        n: problems of a calibration sample, >= 1.
        alpha: highest tolerated risk, in (0, 1).
        delta: highest tolerated probability of a broken promise, in (0, 1).
        method: ``exact``, ``ltt``, ``crc`` or ``empirical``.
        repetitions: number of samples, >= 1.
        seed: seed of the draws.
        drift: ``float64[problems]`` weights of the problems in the world that is tested on; None: all the same, as in
            calibration.
        relative: the loss is that of ``RelativeAccuracy``; otherwise that of ``Accuracy``, for which every problem
            counts. Where answers are drawn at random, always-largest would not repeat its own right answers, so that
            relative accuracy cannot be kept by anything cheaper.

    Raises:
        ValueError: a parameter out of range, or a sweep without threshold 0.
    """
    losses, counted = _losses(sweep, alpha, delta, method, relative)
    if n < 1 or repetitions < 1:
        raise ValueError(f"n={n!r}, repetitions={repetitions!r}; allowed: integers >= 1")
    rng = np.random.default_rng(seed)
    problems = len(counted)
    even = np.full(problems, 1 / problems)
    weight = even if drift is None else drift / drift.sum()
    tested = np.where(counted, weight, 0.0)
    risk, cost = losses @ (tested / tested.sum()), sweep.cost @ weight
    rows, certified = [], []
    for first in range(0, repetitions, _CHUNK):
        counts = rng.multinomial(n, even, size=min(_CHUNK, repetitions - first)).astype(np.float64)
        chosen, accepted = _choose(counts, sweep, losses, counted, alpha, delta, method)
        rows.append(chosen)
        certified.append(accepted)
    row = np.concatenate(rows)
    return Repetitions(alpha, row, np.concatenate(certified), risk[row], cost[row])


def halves(
    sweep: Sweep,
    *,
    alpha: float,
    delta: float,
    method: CalibrationMethod,
    repetitions: int,
    seed: int = 0,
    relative: bool = True,
) -> Repetitions:
    """Calibrate on a random half of the problems and test on the other; arguments as in :func:`resampled`."""
    losses, counted = _losses(sweep, alpha, delta, method, relative)
    rng = np.random.default_rng(seed)
    problems = len(counted)
    order = rng.permuted(np.tile(np.arange(problems), (repetitions, 1)), axis=1)
    counts = (order < problems // 2).astype(np.float64)
    rows, certified = _choose(counts, sweep, losses, counted, alpha, delta, method)
    rest = (1 - counts) * counted
    risk = np.einsum("sn,sn->s", rest, losses[rows]) / np.maximum(rest.sum(axis=1), 1)
    cost = np.einsum("sn,sn->s", 1 - counts, sweep.cost[rows]) / (problems - problems // 2)
    return Repetitions(alpha, rows, certified, risk, cost)


def _losses(
    sweep: Sweep, alpha: float, delta: float, method: CalibrationMethod, relative: bool
) -> tuple[Array, NDArray[np.bool_]]:
    """1 where the routed answer is wrong, on problems that count, ``[T, n]``; and which problems count, ``[n]``."""
    check_level("alpha", alpha)
    check_level("delta", delta)
    check_choice("method", method, STUDIED)
    if sweep.thresholds[0] != ALWAYS_LARGEST:
        raise ValueError(f"thresholds start at {sweep.thresholds[0]:g}; allowed: include 0, which is always-largest")
    counted = sweep.right[0] if relative else np.ones(sweep.right.shape[1], dtype=np.bool_)
    if not counted.any():
        raise ValueError(f"always-largest solves none of {len(counted)} problems; allowed: problems that it solves")
    return (~sweep.right & counted).astype(np.float64), counted


def _choose(
    counts: Array,
    sweep: Sweep,
    losses: Array,
    counted: NDArray[np.bool_],
    alpha: float,
    delta: float,
    method: CalibrationMethod,
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    shown = np.maximum.accumulate(losses, axis=0) if method == "crc" else losses
    return choose(counts @ shown.T, counts @ counted, counts @ sweep.cost.T, alpha=alpha, delta=delta, method=method)
