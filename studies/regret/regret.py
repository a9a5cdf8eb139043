"""How much accuracy every router leaves on the table, at its own cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from gym_stepwise_routing.planning.optimal_frontier import Frontier
from gym_stepwise_routing.planning.planner import Information
from studies.regret.contestants import Outcome

__all__ = ["Estimate", "Regret", "regrets"]


@dataclass(frozen=True, slots=True)
class Estimate:
    """Mean regret over the seeds, its 95 % interval over problems, and its range over seeds.

    The interval is a normal one, of ``right - price x cost`` (the frontier is a line between two optima).
    """

    mean: float
    low: float
    high: float
    least: float
    greatest: float


@dataclass(frozen=True, slots=True)
class Regret:
    """A router against the optimum at the same mean cost.

    Attributes:
        router: name of the family or agent.
        group: its heading.
        sees: its information; None if no optimum is known that bounds it.
        settings: what was played, by seed.
        problems: of each seed.
        accuracy: mean over the seeds.
        cost: normalised, mean over the seeds.
        cost_error: standard error of the cost.
        own: regret to the upper bound of its own information; None if that was not planned.
        full: regret to the upper bound of full information; None if that does not bound it.
    """

    router: str
    group: str
    sees: Information | None
    settings: tuple[str, ...]
    problems: int
    accuracy: float
    cost: float
    cost_error: float
    own: Estimate | None
    full: Estimate | None

    def exceeds(self, budget: float) -> bool:
        """Whether the router costs more than the budget, by more than two standard errors of its cost."""
        return self.cost > budget + 2 * self.cost_error


def regrets(outcomes: Sequence[Outcome], frontiers: Mapping[Information, Frontier]) -> tuple[Regret, ...]:
    """Regret of every router that was played, least first; those that no optimum bounds come last.

    Args:
        outcomes: one for each router and seed.
        frontiers: by what is known; ``full`` among them.
    """
    rows = []
    for name in dict.fromkeys(outcome.router for outcome in outcomes):
        seeds = [outcome for outcome in outcomes if outcome.router == name]
        sees = seeds[0].sees
        rows.append(
            Regret(
                router=name,
                group=seeds[0].group,
                sees=sees,
                settings=tuple(outcome.setting for outcome in seeds),
                problems=len(seeds[0].right),
                accuracy=float(np.mean([outcome.right.mean() for outcome in seeds])),
                cost=float(np.mean([outcome.cost.mean() for outcome in seeds])),
                cost_error=float(np.sqrt(sum(o.cost.var(ddof=1) / len(o.cost) for o in seeds)) / len(seeds)),
                own=_estimate(seeds, frontiers[sees]) if sees is not None and sees in frontiers else None,
                full=None if sees is None else _estimate(seeds, frontiers["full"]),
            )
        )
    return tuple(sorted(rows, key=_order))


def _order(row: Regret) -> tuple[int, float]:
    if row.own is not None:
        return 0, row.own.mean
    return (1, row.full.mean) if row.full is not None else (2, 0.0)


def _estimate(seeds: Sequence[Outcome], frontier: Frontier) -> Estimate:
    found, variance = [], 0.0
    for outcome in seeds:
        # sampling may put a cost a hair below the cheapest router's
        cost = max(float(outcome.cost.mean()), frontier.cheapest)
        found.append(float(frontier.upper(cost)) - float(outcome.right.mean()))
        value = outcome.right - frontier.price(cost) * outcome.cost
        variance += float(value.var(ddof=1)) / len(value)
    mean, half = float(np.mean(found)), 1.96 * float(np.sqrt(variance)) / len(seeds)
    return Estimate(mean, mean - half, mean + half, min(found), max(found))
