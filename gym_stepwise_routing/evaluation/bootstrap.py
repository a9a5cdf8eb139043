"""Paired percentile bootstrap over problems, for means, differences and whole-sweep metrics.

A resample draws n problems with replacement and applies the *same* draw to every threshold, router, training seed and
anchor, so what the routers share cancels in differences. A draw is a vector of counts; the means of all rows over all
draws are then one matrix product, which makes 10,000 resamples of a 50-point sweep a matter of tenths of a second.

With several training seeds the resampling is hierarchical: problems are drawn jointly for all seeds, then each
resample draws as many seeds as there are, with replacement, and averages the metric over them. With S seeds this
understates the variance between seeds by the factor (S - 1) / S; with one seed the interval speaks of that one only.

Intervals are percentile intervals whose limits are order statistics, rounded outwards (Efron and Tibshirani, *An
Introduction to the Bootstrap*, 1993, chapter 13). numpy only: the core install has no scipy.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gym_stepwise_routing.evaluation.curves import Anchors, Array, Curves
from gym_stepwise_routing.evaluation.outcomes import AnchorOutcomes, SweepOutcomes, per_problem

__all__ = [
    "CurveMetric",
    "Interval",
    "average_seeds",
    "bootstrap_curve_differences",
    "bootstrap_curves",
    "bootstrap_difference",
    "bootstrap_mean",
    "percentile_interval",
    "resampled_means",
    "seed_draws",
]

CurveMetric = Callable[[Curves], Array]
"""A function of :mod:`gym_stepwise_routing.evaluation.curves` that gives one number a sweep: ``[T, ...] -> [...]``."""

# Draws held at once: small enough that the counts stay in the processor's cache.
_CHUNK = 2**16
_KEPT = 2**23
"""Most counts that are kept from one call to the next, two bytes each."""
_LAST: dict[tuple[int, int, str], tuple[list[NDArray[np.uint16]], Any]] = {}
_FEWEST_RESAMPLES = 100


@dataclass(frozen=True, kw_only=True)
class Interval:
    """A bootstrap interval.

    Attributes:
        estimate: the statistic on the data themselves. ``inf`` is a cost that was unreached, ``-inf`` an accuracy that
            was unaffordable; the limits may be infinite in the same sense.
        low: lower limit.
        high: upper limit.
        n: number of problems.
        resamples: number of resamples.
        level: nominal coverage, in (0, 1).
        undefined: resamples in which the statistic was undefined and which the limits leave out. More than a few mean
            that the anchors are too close together for this many problems.
    """

    estimate: float
    low: float
    high: float
    n: int
    resamples: int
    level: float
    undefined: int = 0


def bootstrap_mean(
    values: ArrayLike, *, resamples: int = 10_000, level: float = 0.95, rng: np.random.Generator | int = 0
) -> Interval:
    """Interval of a mean over problems.

    Args:
        values: one value a problem, ``[n]``, or ``[S, n]`` for S training seeds, finite; n >= 2.
        resamples: at least 100; report no headline with fewer than 10,000.
        level: nominal coverage, in (0, 1).
        rng: a generator, or a seed for one.

    Raises:
        ValueError: empty, non-finite or misshapen values, or a parameter out of range.
    """
    rows = np.atleast_2d(per_problem("values", values, (1, 2), low=-math.inf))
    generator = _generator(resamples, level, rng)
    means = resampled_means(rows, resamples, generator)
    means = average_seeds(means, seed_draws(len(rows), resamples, generator))
    return percentile_interval(means, float(rows.mean()), rows.shape[-1], level)


def bootstrap_difference(
    first: ArrayLike,
    second: ArrayLike,
    *,
    resamples: int = 10_000,
    level: float = 0.95,
    rng: np.random.Generator | int = 0,
) -> Interval:
    """Interval of ``mean(first) - mean(second)``, paired by problem.

    Args:
        first: one value a problem, ``[n]``, or ``[S, n]`` for S training seeds.
        second: the same problems in the same order, ``[n]`` or ``[S', n]``; its seeds are drawn separately.
        resamples: as in :func:`bootstrap_mean`.
        level: nominal coverage, in (0, 1).
        rng: a generator, or a seed for one.

    Raises:
        ValueError: as :func:`bootstrap_mean`, or a different number of problems.
    """
    one, two = (
        np.atleast_2d(per_problem(name, values, (1, 2), low=-math.inf))
        for name, values in (("first", first), ("second", second))
    )
    _check_paired(one.shape[-1], two.shape[-1], "first and second")
    generator = _generator(resamples, level, rng)
    means = resampled_means(np.concatenate([one, two]), resamples, generator)
    first_means, second_means = (
        average_seeds(block, seed_draws(len(block), resamples, generator))
        for block in (means[: len(one)], means[len(one) :])
    )
    differences = first_means - second_means
    return percentile_interval(differences, float(one.mean() - two.mean()), one.shape[-1], level)


def bootstrap_curves(
    sweep: SweepOutcomes,
    anchors: AnchorOutcomes,
    metrics: Mapping[str, CurveMetric],
    *,
    resamples: int = 10_000,
    level: float = 0.95,
    rng: np.random.Generator | int = 0,
) -> dict[str, Interval | None]:
    """Intervals of metrics of a whole sweep; the anchors are resampled with it.

    Args:
        sweep: right and cost of each point on each problem.
        anchors: the constants on the same problems.
        metrics: name to metric, for example ``{"apgr": curves.apgr, "cpt95": partial(curves.cpt, x=0.95)}``.
        resamples: as in :func:`bootstrap_mean`.
        level: nominal coverage, in (0, 1).
        rng: a generator, or a seed for one.

    Returns:
        For each name its interval (with several seeds: of the mean of the metric over seeds), or None where the metric
        is undefined on the data themselves.

    Raises:
        ValueError: as :func:`bootstrap_mean`, or a different number of problems.
    """
    generator = _generator(resamples, level, rng)
    (data,), (draws,), n = _curves([sweep], anchors, resamples, generator)
    seeds = seed_draws(draws.costs.shape[1], resamples, generator)
    return {
        name: _interval(average_seeds(metric(draws), seeds), metric(data).mean(), n, level)
        for name, metric in metrics.items()
    }


def bootstrap_curve_differences(
    first: SweepOutcomes,
    second: SweepOutcomes,
    anchors: AnchorOutcomes,
    metrics: Mapping[str, CurveMetric],
    *,
    resamples: int = 10_000,
    level: float = 0.95,
    rng: np.random.Generator | int = 0,
) -> dict[str, Interval | None]:
    """Intervals of ``metric(first) - metric(second)``, paired by problem; the sweeps may differ in points and seeds.

    Args:
        first: one router's sweep.
        second: the other's, on the same problems in the same order.
        anchors: the constants on the same problems.
        metrics: name to metric, as in :func:`bootstrap_curves`.
        resamples: as in :func:`bootstrap_mean`.
        level: nominal coverage, in (0, 1).
        rng: a generator, or a seed for one.

    Returns:
        As :func:`bootstrap_curves`. The difference of two unreached costs is undefined.

    Raises:
        ValueError: as :func:`bootstrap_mean`, or a different number of problems.
    """
    generator = _generator(resamples, level, rng)
    data, draws, n = _curves([first, second], anchors, resamples, generator)
    seeds = [seed_draws(curves.costs.shape[1], resamples, generator) for curves in draws]
    intervals: dict[str, Interval | None] = {}
    for name, metric in metrics.items():
        one, two = (average_seeds(metric(curves), picks) for curves, picks in zip(draws, seeds, strict=True))
        estimates = [metric(curves).mean() for curves in data]
        with np.errstate(invalid="ignore"):  # inf - inf: both unreached
            intervals[name] = _interval(one - two, estimates[0] - estimates[1], n, level)
    return intervals


def _curves(
    sweeps: list[SweepOutcomes], anchors: AnchorOutcomes, resamples: int, rng: np.random.Generator
) -> tuple[list[Curves], list[Curves], int]:
    """Per sweep the curves of the data ``[T, S, 1]`` and of the resamples ``[T, S, R]``; and the number of problems."""
    ends = anchors.rows()
    n = ends.shape[-1]
    rows = [ends]
    shapes = []
    for sweep in sweeps:
        right, cost = sweep.rows()
        _check_paired(n, right.shape[-1], "anchors and sweep")
        shapes.append(right.shape[:2])
        rows += [right.reshape(-1, n), cost.reshape(-1, n)]
    stacked = np.concatenate(rows)
    data, draws = (
        _unstack(means, shapes)
        for means in (stacked.mean(axis=1, keepdims=True), resampled_means(stacked, resamples, rng))
    )
    return data, draws, n


def _unstack(means: Array, shapes: list[tuple[int, int]]) -> list[Curves]:
    anchors = Anchors(cost_small=means[1], accuracy_small=means[0], cost_large=means[3], accuracy_large=means[2])
    curves = []
    start = 4
    for seeds, points in shapes:
        block = means[start : start + 2 * seeds * points].reshape(2, seeds, points, -1).swapaxes(1, 2)
        curves.append(Curves(accuracies=block[0], costs=block[1], anchors=anchors))
        start += 2 * seeds * points
    return curves


def resampled_means(rows: Array, resamples: int, rng: np.random.Generator) -> Array:
    """Mean of each row over each resample of the columns: ``[m, n] -> [m, resamples]``.

    The same ``n``, ``resamples`` and state of ``rng`` give the same resamples: results of several calls are paired.
    """
    n = rows.shape[1]
    means = np.empty((len(rows), resamples))
    first = 0
    for counts in _counted(n, resamples, rng):
        means[:, first : first + len(counts)] = rows @ counts.T.astype(np.float64)
        first += len(counts)
    means /= n
    return means


def _counted(n: int, resamples: int, rng: np.random.Generator) -> Iterable[NDArray[np.integer[Any]]]:
    """How often each of ``n`` columns is in each resample, in parts; those drawn last are kept, as calls are paired."""
    if n * resamples > _KEPT or n >= 2**16:
        return _drawn(n, resamples, rng)
    key = n, resamples, repr(rng.bit_generator.state)
    if key not in _LAST:
        parts = [part.astype(np.uint16) for part in _drawn(n, resamples, rng)]
        _LAST.clear()
        _LAST[key] = parts, rng.bit_generator.state
    parts, rng.bit_generator.state = _LAST[key]
    return parts


def _drawn(n: int, resamples: int, rng: np.random.Generator) -> Iterator[NDArray[np.int64]]:
    step = max(_CHUNK // n, 1)
    for first in range(0, resamples, step):
        size = min(step, resamples - first)
        picks = rng.integers(0, n, size=(size, n))
        picks += n * np.arange(size)[:, None]
        yield np.bincount(picks.ravel(), minlength=size * n).reshape(size, n)


def seed_draws(seeds: int, resamples: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Which training seeds each resample averages over, ``[S, R]``."""
    return rng.integers(0, seeds, size=(seeds, resamples))


def average_seeds(values: Array, draws: NDArray[np.int64]) -> Array:
    """Mean over the drawn training seeds, ``[S, R] -> [R]``."""
    mean: Array = np.take_along_axis(values, draws, axis=0).mean(axis=0)
    return mean


def _interval(samples: Array, estimate: float | np.float64, n: int, level: float) -> Interval | None:
    """The percentile interval of ``samples``, or None if the estimate itself is undefined (nan)."""
    return None if np.isnan(estimate) else percentile_interval(samples, float(estimate), n, level)


def percentile_interval(samples: Array, estimate: float, n: int, level: float) -> Interval:
    """The percentile interval of resampled statistics ``[R]``, leaving out undefined (nan) ones, limits outwards."""
    defined = samples[~np.isnan(samples)]
    tail = (1.0 - level) / 2.0
    # Order statistics, never interpolated: the samples may hold infinities.
    low = np.quantile(defined, tail, method="lower") if defined.size else np.nan
    high = np.quantile(defined, 1.0 - tail, method="higher") if defined.size else np.nan
    return Interval(
        estimate=estimate,
        low=float(low),
        high=float(high),
        n=n,
        resamples=len(samples),
        level=level,
        undefined=len(samples) - len(defined),
    )


def _check_paired(n: int, other: int, what: str) -> None:
    if n != other:
        raise ValueError(f"{what} have {n} and {other} problems; a paired bootstrap needs the same problems")


def _generator(resamples: int, level: float, rng: np.random.Generator | int) -> np.random.Generator:
    if resamples < _FEWEST_RESAMPLES:
        raise ValueError(f"resamples={resamples!r} must be at least {_FEWEST_RESAMPLES}")
    if not 0.0 < level < 1.0:
        raise ValueError(f"level={level!r} must lie strictly between 0 and 1")
    return np.random.default_rng(rng)
