"""How much accuracy every router of a comparison leaves on the table, at its own cost."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from gym_stepwise_routing.compare.comparison import Comparison
from gym_stepwise_routing.evaluation.bootstrap import Interval
from gym_stepwise_routing.planning.frontier import Frontier

__all__ = ["Regret", "regrets"]

VERIFIER_GROUP = "verifier"
"""Heading of the routers that see verifier scores, see :mod:`gym_stepwise_routing.compare.roster`."""


@dataclass(frozen=True, slots=True)
class Regret:
    """A router's chosen setting against the optimum at the same mean cost.

    Attributes:
        router: family.
        group: heading of the family.
        setting: what calibration chose.
        accuracy: on the reported split.
        cost: normalised, on the reported split.
        own: least and greatest regret to the optimum of its own information.
        full: regret to the optimum of full information.
    """

    router: str
    group: str
    setting: str
    accuracy: Interval
    cost: Interval
    own: tuple[float, float]
    full: float


def regrets(comparison: Comparison, *, seen: Callable[[bool], Frontier], full: Frontier) -> tuple[Regret, ...]:
    """Regret of every family that was played, least first.

    Args:
        comparison: routers on a simulator.
        seen: frontier of the router's real information, given whether it sees verifier scores.
        full: frontier of full information.

    Raises:
        ValueError: a comparison on recorded traces, whose optimum is not known.
    """
    if not comparison.simulated:
        raise ValueError(f"source={comparison.source!r} was recorded; allowed: a simulator, whose optimum is known")
    rows = []
    for row in comparison.rows:
        if row.chosen is None:
            continue
        own = seen(row.group == VERIFIER_GROUP)
        accuracy, cost = row.chosen.accuracy.estimate, row.chosen.cost.estimate
        rows.append(
            Regret(
                router=row.name,
                group=row.group,
                setting=row.chosen.setting,
                accuracy=row.chosen.accuracy,
                cost=row.chosen.cost,
                own=own.regret(accuracy, max(cost, own.cheapest)),
                full=full.regret(accuracy, max(cost, full.cheapest))[1],
            )
        )
    return tuple(sorted(rows, key=lambda row: row.own[1]))
