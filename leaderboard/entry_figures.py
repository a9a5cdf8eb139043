"""Every number of an entry, computed from the outcomes of its decisions.

Intervals are paired over entries: all of them use the same resamples of the problems, so that differences between two
entries have intervals as well (:mod:`gym_stepwise_routing.leaderboard.board`).

The **gain** of a router is its accuracy minus the accuracy that mixing the constant models at random attains at the
same mean cost (the hull of the "zero router", RouterBench, arXiv 2403.12031). Below the cheapest constant the hull is
continued flat, as in ``evaluation.metrics``; beyond the most accurate one it is flat anyway.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import permutations
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from gym_stepwise_routing.baselines import AlwaysModel
from gym_stepwise_routing.costs.units import CostUnit
from gym_stepwise_routing.evaluation import curves
from gym_stepwise_routing.evaluation.bootstrap import (
    CurveMetric,
    Interval,
    average_seeds,
    bootstrap_curves,
    percentile_interval,
    resampled_means,
    seed_draws,
)
from gym_stepwise_routing.evaluation.evaluate import Evaluation
from gym_stepwise_routing.evaluation.outcomes import AnchorOutcomes, SweepOutcomes
from gym_stepwise_routing.leaderboard.entry import CurveFigures, Estimate, Figures, UnitFigures
from gym_stepwise_routing.leaderboard.playing import PlayedRouter, play_on
from gym_stepwise_routing.leaderboard.track import Track, View, game_of, source_of
from gym_stepwise_routing.types import Split

__all__ = [
    "LEVEL",
    "RESAMPLES",
    "Constants",
    "Draws",
    "Point",
    "compute_figures",
    "draw",
    "gains_of_each",
    "hull_accuracy",
    "normalised",
    "plain_figures",
    "play_constants",
    "sweep_points",
]

RESAMPLES = 10_000
LEVEL = 0.95
_SEED = 0
_DECIMALS = 12
_CURVE: dict[str, CurveMetric] = {
    "apgr": curves.apgr,
    "aiq": curves.aiq,
    "cpt80": partial(curves.cpt, x=0.80),
    "cpt95": partial(curves.cpt, x=0.95),
}
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Point:
    """One threshold of a sweep: mean cost as a multiple of the normaliser, by unit, and accuracy."""

    threshold: float
    costs: Mapping[CostUnit, float]
    accuracy: float


@dataclass(frozen=True, slots=True, eq=False)
class Constants:
    """Every model of the pool played alone on the ``n`` problems of a track: what needs no router.

    Attributes:
        models: names, smallest first.
        right: ``bool[K, n]``.
        costs: by unit, ``float64[K, n]``, as multiples of the track's normaliser.
    """

    models: tuple[str, ...]
    right: NDArray[np.bool_]
    costs: dict[CostUnit, Floats]

    def anchors(self, unit: CostUnit) -> AnchorOutcomes:
        """The smallest and the largest model."""
        cost = self.costs[unit]
        return AnchorOutcomes(
            right_small=self.right[0], cost_small=cost[0], right_large=self.right[-1], cost_large=cost[-1]
        )


@dataclass(frozen=True, slots=True, eq=False)
class Draws:
    """Resampled figures of one entry, ``float64[R]`` each; draw ``r`` is the same resample for every entry."""

    accuracy: Floats
    harm: Floats
    costs: dict[CostUnit, Floats]
    gains: dict[CostUnit, Floats]


@lru_cache(maxsize=32)
def play_constants(track: Track, split: Split | None = None) -> Constants:
    """The constant models of a track, without drafts or probes: what anybody can have without a router.

    Args:
        track: the track.
        split: another split than the track's.
    """
    modes = source_of(track).modes
    game = game_of(track, View(observation=("progress",)), split=split, mode="route" if "route" in modes else None)
    played = [play_on(track, AlwaysModel(model), game) for model in range(len(track.models))]
    return Constants(
        models=track.models,
        right=np.stack([outcome.right for outcome in played]),
        costs={unit: np.stack([normalised(track, outcome, unit) for outcome in played]) for unit in track.units},
    )


def normalised(track: Track, outcome: Evaluation, unit: CostUnit) -> Floats:
    """Cost of each problem as a multiple of the track's normaliser, ``float64[n]``."""
    cost: Floats = outcome.costs[unit] / track.normalisers[unit]
    return cost


def sweep_points(track: Track, run: PlayedRouter) -> tuple[Point, ...]:
    """A run's sweep, a point a threshold; empty without one."""
    return tuple(
        Point(
            threshold=threshold,
            costs={unit: float(normalised(track, point, unit).mean()) for unit in track.units},
            accuracy=point.accuracy,
        )
        for threshold, point in zip(run.thresholds, run.points, strict=True)
    )


def hull_accuracy(costs: Floats, accuracies: Floats, at: Floats) -> Floats:
    """Accuracy that mixing the constant models attains at a mean cost.

    Args:
        costs: mean cost of each model alone, ``[K, ...]``.
        accuracies: its accuracy, ``[K, ...]``.
        at: mean costs, ``[...]``.

    Returns:
        ``[...]``: best over single models that cost no more and over mixtures of two; below the cheapest model, that
        model's accuracy.
    """
    cheapest = np.where(costs == costs.min(axis=0), accuracies, -np.inf).max(axis=0)
    best: Floats = np.maximum(cheapest, np.where(costs <= at, accuracies, -np.inf).max(axis=0))
    for i, j in permutations(range(len(costs)), 2):
        between = (costs[i] < at) & (at < costs[j])
        share = np.divide(at - costs[i], costs[j] - costs[i], out=np.zeros_like(at), where=between)
        mixed = accuracies[i] + share * (accuracies[j] - accuracies[i])
        best = np.where(between, np.maximum(best, mixed), best)
    return best


def draw(track: Track, name: str, outcomes: Sequence[Evaluation], constants: Constants) -> tuple[Draws, Draws]:
    """Figures of an entry on the problems themselves (``R`` = 1) and on every resample.

    Args:
        track: the track.
        name: name of the entry; it seeds which of several runs each resample averages over.
        outcomes: one a run.
        constants: see :func:`play_constants`.
    """
    means = resampled_means(_rows(track, outcomes, constants), RESAMPLES, np.random.default_rng(_SEED))
    own = np.random.default_rng([_SEED, *hashlib.sha256(name.encode()).digest()[:8]])
    picks = seed_draws(len(outcomes), RESAMPLES, own)
    return plain_figures(track, outcomes, constants), _figures_of(track, means, len(outcomes), picks)


def plain_figures(track: Track, outcomes: Sequence[Evaluation], constants: Constants) -> Draws:
    """Figures of an entry on the problems themselves (``R`` = 1); see :func:`draw`."""
    means = _rows(track, outcomes, constants).mean(axis=1, keepdims=True)
    return _figures_of(track, means, len(outcomes), np.arange(len(outcomes))[:, None])


def gains_of_each(track: Track, outcomes: Sequence[Evaluation], constants: Constants) -> tuple[Floats, Floats]:
    """Gain of each of ``T`` plays in the track's unit: ``float64[T]``, and ``float64[T, R]`` on the resamples."""
    rows, unit = _rows(track, outcomes, constants), track.spec.cost_unit
    plain = _by_run(track, rows.mean(axis=1, keepdims=True), len(outcomes)).gains[unit]
    means = resampled_means(rows, RESAMPLES, np.random.default_rng(_SEED))
    return plain[:, 0], _by_run(track, means, len(outcomes)).gains[unit]


def compute_figures(track: Track, name: str, runs: Sequence[PlayedRouter], constants: Constants) -> Figures:
    """Every figure of an entry.

    Args:
        track: the track.
        name: name of the entry.
        runs: what its routers did.
        constants: see :func:`play_constants`.
    """
    outcomes = [run.outcome for run in runs]
    plain, draws = draw(track, name, outcomes, constants)

    def estimate(value: Floats, samples: Floats) -> Estimate:
        return _estimate(percentile_interval(samples, float(value[0]), track.problems, LEVEL))

    units = {
        unit: UnitFigures(
            raw_cost=float(np.mean([outcome.costs[unit].mean() for outcome in outcomes])),
            cost=estimate(plain.costs[unit], draws.costs[unit]),
            gain=estimate(plain.gains[unit], draws.gains[unit]),
            curve=_curve_figures(track, unit, runs, constants) if all(run.points for run in runs) else None,
        )
        for unit in track.units
    }
    return Figures(
        problems=track.problems,
        runs=len(runs),
        resamples=RESAMPLES,
        level=LEVEL,
        accuracy=estimate(plain.accuracy, draws.accuracy),
        harm=estimate(plain.harm, draws.harm),
        steps=float(np.mean([outcome.steps.mean() for outcome in outcomes])),
        units=units,
    )


def _rows(track: Track, outcomes: Sequence[Evaluation], constants: Constants) -> Floats:
    """Figures by problem, in the order in which :func:`_figures_of` takes them apart."""
    lost = constants.right[-1]
    rows: list[NDArray[np.generic]] = [*constants.right]
    for unit in track.units:
        rows += [*constants.costs[unit]]
    for outcome in outcomes:
        rows += [outcome.right, lost & ~outcome.right]
        rows += [normalised(track, outcome, unit) for unit in track.units]
    return np.stack(rows).astype(np.float64)


def _figures_of(track: Track, means: Floats, runs: int, picks: NDArray[np.int64]) -> Draws:
    """Figures averaged over the runs that each resample picks."""
    each = _by_run(track, means, runs)
    costs, gains = (
        {unit: average_seeds(values, picks) for unit, values in figures.items()} for figures in (each.costs, each.gains)
    )
    return Draws(average_seeds(each.accuracy, picks), average_seeds(each.harm, picks), costs, gains)


def _by_run(track: Track, means: Floats, runs: int) -> Draws:
    """Figures of every run, ``float64[runs, R]`` each."""
    models, units = len(track.models), len(track.units)
    constant = means[: models * (1 + units)].reshape(1 + units, models, -1)
    own = means[models * (1 + units) :].reshape(runs, 2 + units, -1)
    costs, gains = {}, {}
    for column, unit in enumerate(track.units):
        cost = own[:, 2 + column]
        hull = np.stack([hull_accuracy(constant[1 + column], constant[0], row) for row in cost])
        costs[unit], gains[unit] = cost, own[:, 0] - hull
    return Draws(own[:, 0], own[:, 1], costs, gains)


def _curve_figures(track: Track, unit: CostUnit, runs: Sequence[PlayedRouter], constants: Constants) -> CurveFigures:
    longest = max(len(run.points) for run in runs)
    # Runs may have grids of different lengths; repeating a point changes no metric.
    padded = [[*run.points, *[run.points[-1]] * (longest - len(run.points))] for run in runs]
    sweep = SweepOutcomes(
        right=[[point.right for point in points] for points in padded],
        cost=[[normalised(track, point, unit) for point in points] for points in padded],
    )
    found = bootstrap_curves(sweep, constants.anchors(unit), _CURVE, resamples=RESAMPLES, level=LEVEL, rng=_SEED)
    return CurveFigures(**{name: None if interval is None else _estimate(interval) for name, interval in found.items()})


def _estimate(interval: Interval) -> Estimate:
    def value(number: float) -> float | Literal["unreached"]:
        # Sums in another order differ in the last bits; a gain of nothing should read 0.
        return round(number, _DECIMALS) + 0.0 if math.isfinite(number) else "unreached"

    return Estimate(
        value=value(interval.estimate),
        low=value(interval.low),
        high=value(interval.high),
        undefined=interval.undefined,
    )
