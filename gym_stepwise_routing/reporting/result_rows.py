"""One router's result with intervals: the unit that tables and pictures are made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from gym_stepwise_routing.costs.units import CostUnit
from gym_stepwise_routing.evaluation.bootstrap import (
    Interval,
    average_seeds,
    bootstrap_mean,
    percentile_interval,
    resampled_means,
    seed_draws,
)
from gym_stepwise_routing.evaluation.evaluate import Evaluation

__all__ = ["Row", "row_of"]

_LEVEL = 0.95


@dataclass(frozen=True, kw_only=True)
class Row:
    """Accuracy and cost of one router on one split.

    Attributes:
        router: its name.
        kind: ``constant``, ``baseline``, ``agent`` or ``bound``.
        accuracy: share of right answers, with interval.
        costs: cost in each unit, where always-largest costs 1 on average, with interval.
        n: number of problems.
        seeds: number of training seeds (or of repetitions of a random router).
        note: what a reader must know, for example what the threshold promises.
        simulated: True if the figures come from a random process instead of language models.
    """

    router: str
    kind: str
    accuracy: Interval
    costs: Mapping[CostUnit, Interval]
    n: int
    seeds: int
    note: str = ""
    simulated: bool = field(default=False)


def row_of(
    runs: Sequence[Evaluation],
    reference: Evaluation,
    *,
    kind: str,
    name: str | None = None,
    note: str = "",
    draws: int = 1,
    resamples: int = 10_000,
) -> Row:
    """Row of one router played once, or of its training seeds.

    Args:
        runs: evaluations on the same problems, one a seed; ``draws`` in a row a seed, if actions are drawn.
        reference: always-largest (mode *route* or *escalate*) on the same problems; its mean cost is 1 in every unit.
        kind: ``constant``, ``baseline``, ``agent`` or ``bound``.
        name: name to show; that of the first run if None.
        note: what a reader must know.
        draws: how often each seed was played; its draws are averaged problem by problem before anything is resampled.
        resamples: bootstrap resamples over problems (and seeds).

    Raises:
        ValueError: no runs, a number of runs that ``draws`` does not divide, or runs on different problems.
    """
    if not runs or any(run.problems != reference.problems for run in runs):
        raise ValueError("runs: allowed: one or more evaluations on the problems of the reference")
    if draws < 1 or len(runs) % draws:
        raise ValueError(f"draws={draws!r} with {len(runs)} runs; allowed: an integer >= 1 that divides their number")
    first = runs[0]

    def by_seed(values: Sequence[NDArray[np.generic]]) -> NDArray[np.float64]:
        each = np.stack(values).astype(np.float64).reshape(-1, draws, len(first))
        mean: NDArray[np.float64] = each.mean(axis=1)
        return mean

    return Row(
        router=name or first.router,
        kind=kind,
        accuracy=bootstrap_mean(by_seed([run.right for run in runs]), resamples=resamples, level=_LEVEL),
        costs={
            unit: _relative_cost(by_seed([run.costs[unit] for run in runs]), reference.costs[unit], resamples)
            for unit in first.costs
        },
        n=len(first),
        seeds=len(runs) // draws,
        note=note,
        simulated=first.simulated,
    )


def _relative_cost(costs: NDArray[np.float64], reference: NDArray[np.float64], resamples: int) -> Interval:
    """Interval of mean cost over the reference's mean cost.

    Long problems are dear for every router. So both means are taken over the same resamples, where that cancels: the
    reference itself costs 1 [1, 1].

    Args:
        costs: ``[S, n]``, one row a seed.
        reference: ``[n]``, positive on average.
        resamples: number of resamples.
    """
    rng = np.random.default_rng(0)
    means = resampled_means(np.vstack([costs, reference[None]]), resamples, rng)
    own = average_seeds(means[:-1], seed_draws(len(costs), resamples, rng))
    return percentile_interval(own / means[-1], float(costs.mean() / reference.mean()), len(reference), _LEVEL)
