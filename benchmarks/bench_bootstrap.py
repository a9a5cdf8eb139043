"""Time of the paired bootstrap: ``python benchmarks/bench_bootstrap.py`` (one process, numpy's own threads).

Simulated outcomes: right answers are drawn at random, costs are uniform; only the shapes matter for the time.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from functools import partial

import numpy as np

from gym_stepwise_routing.evaluation import curves
from gym_stepwise_routing.evaluation.bootstrap import (
    bootstrap_curve_differences,
    bootstrap_curves,
    bootstrap_difference,
    bootstrap_mean,
)
from gym_stepwise_routing.evaluation.outcomes import AnchorOutcomes, SweepOutcomes

LIMIT = 1.0
"""Seconds that a paired bootstrap may take."""
METRICS = {
    "apgr": curves.apgr,
    "aiq": curves.aiq,
    "cpt50": partial(curves.cpt, x=0.5),
    "cpt95": partial(curves.cpt, x=0.95),
    "acc@0.5": partial(curves.accuracy_at, budget=0.5),
    "cost_save": curves.cost_save,
}


def simulated(rng: np.random.Generator, seeds: int, points: int, n: int) -> tuple[SweepOutcomes, AnchorOutcomes]:
    """Sweeps whose accuracy rises from .4 to .8 with the cost, and anchors at both ends."""
    level = np.linspace(0.0, 1.0, points)[None, :, None]
    difficulty = rng.random(n)
    noise = rng.random((seeds, points, n))
    sweep = SweepOutcomes(right=difficulty < 0.4 + 0.4 * np.sqrt(level) + 0.05 * noise, cost=0.2 + 0.8 * level * noise)
    anchors = AnchorOutcomes(
        right_small=difficulty < 0.4,
        cost_small=0.2 * rng.random(n),
        right_large=difficulty < 0.8,
        cost_large=rng.uniform(0.5, 1.5, n),
    )
    return sweep, anchors


def fastest(function: Callable[[], object], repeats: int) -> float:
    """Shortest wall-clock time of ``repeats`` runs, in seconds."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return min(times)


def main() -> None:
    """Time each kind of interval and write one line each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--problems", type=int, default=1000)
    parser.add_argument("--points", type=int, default=51)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--resamples", type=int, default=10_000)
    parser.add_argument("--repeats", type=int, default=3)
    args = parser.parse_args()
    rng = np.random.default_rng(0)
    one, anchors = simulated(rng, 1, args.points, args.problems)
    other, _ = simulated(rng, 1, args.points, args.problems)
    several, _ = simulated(rng, args.seeds, args.points, args.problems)
    first, second = rng.random((2, args.problems))
    cases: dict[str, Callable[[], object]] = {
        "mean": lambda: bootstrap_mean(first, resamples=args.resamples),
        "paired difference": lambda: bootstrap_difference(first, second, resamples=args.resamples),
        "APGR of a sweep": lambda: bootstrap_curves(one, anchors, {"apgr": curves.apgr}, resamples=args.resamples),
        f"{len(METRICS)} metrics of a sweep": lambda: bootstrap_curves(one, anchors, METRICS, resamples=args.resamples),
        "APGR difference of two sweeps": lambda: bootstrap_curve_differences(
            one, other, anchors, {"apgr": curves.apgr}, resamples=args.resamples
        ),
        f"APGR of a sweep, {args.seeds} seeds": lambda: bootstrap_curves(
            several, anchors, {"apgr": curves.apgr}, resamples=args.resamples
        ),
    }
    sys.stdout.write(f"n={args.problems}, points={args.points}, resamples={args.resamples}, best of {args.repeats}\n")
    seconds = {name: fastest(function, args.repeats) for name, function in cases.items()}
    for name, taken in seconds.items():
        sys.stdout.write(f"{name:34s} {taken:7.3f} s\n")
    # Asked for is a paired bootstrap of one router; several seeds and many metrics are more work.
    met = max(seconds["paired difference"], seconds["APGR of a sweep"]) < LIMIT
    sys.stdout.write(f"paired difference and APGR of a sweep, limit {LIMIT:g} s: {'met' if met else 'NOT met'}\n")
    sys.exit(0 if met else 1)


if __name__ == "__main__":
    main()
