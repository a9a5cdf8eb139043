"""One router's result with intervals: the unit that tables and pictures are made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from gym_stepwise_routing.costs import CostUnit
from gym_stepwise_routing.evaluation.bootstrap import Interval, bootstrap_mean
from gym_stepwise_routing.evaluation.evaluate import Evaluation

__all__ = ["Row", "row_of"]


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
    resamples: int = 10_000,
) -> Row:
    """Row of one router played once, or of its training seeds.

    Args:
        runs: evaluations on the same problems, one a seed.
        reference: always-largest (mode *route* or *escalate*) on the same problems; its mean cost is 1 in every unit.
        kind: ``constant``, ``baseline``, ``agent`` or ``bound``.
        name: name to show; that of the first run if None.
        note: what a reader must know.
        resamples: bootstrap resamples over problems (and seeds).

    Raises:
        ValueError: no runs, or runs on different problems.
    """
    if not runs or any(run.problems != reference.problems for run in runs):
        raise ValueError("runs: allowed: one or more evaluations on the problems of the reference")
    first = runs[0]

    def interval(values: list[np.ndarray[tuple[int], np.dtype[np.float64]]]) -> Interval:
        return bootstrap_mean(np.stack(values).astype(np.float64), resamples=resamples)

    return Row(
        router=name or first.router,
        kind=kind,
        accuracy=interval([run.right.astype(np.float64) for run in runs]),
        costs={
            unit: interval([run.costs[unit] / reference.costs[unit].mean() for run in runs]) for unit in first.costs
        },
        n=len(first),
        seeds=len(runs),
        note=note,
        simulated=first.simulated,
    )
