"""The frontier of accuracy against cost, from optima at many multipliers; optimal routers for a budget; regret.

Routers may toss a coin at the start of an episode, so the frontier is concave, and its points between two optima are
mixtures of them. Every multiplier also bounds the frontier from above, by the line ``value + multiplier x cost``
(Lagrangian duality). The frontier lies between the two.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gym_stepwise_routing.planning.program import Solution

__all__ = ["CHEAPEST", "FREE", "Frontier", "Mixture", "trace_frontier"]

Floats = NDArray[np.float64]
FREE = 1e-4
"""Multiplier of the dearest optimum: practically the best accuracy, at the least cost that it needs."""
CHEAPEST = 1e4
"""Multiplier of the cheapest optimum."""


@dataclass(frozen=True, slots=True)
class Mixture:
    """The optimal router at a budget: ``dear`` with probability ``share``, else ``cheap``.

    It is played by :meth:`gym_stepwise_routing.planning.Planner.play_mixture`.

    Attributes:
        cheap: the optimum that the other episodes get.
        dear: the optimum that a share of the episodes gets.
        share: of ``dear``.
        accuracy: that the mixture reaches, as the frontier knows it: as solved, or as its two optima were played.
        cost: the same of the mean normalised cost.
    """

    cheap: Solution
    dear: Solution
    share: float
    accuracy: float
    cost: float


@dataclass(frozen=True, slots=True, eq=False)
class Frontier:
    """A frontier between two bounds.

    Attributes:
        solutions: optima, cheapest first.
        lines: every optimum that was solved for, also at multipliers that led to the same routers: the upper bound.
        played: accuracy and normalised cost that are reached, ``float64[n, 2]``: as solved, or as measured in play.
        error: greatest standard error of a played value (``accuracy - multiplier x cost``); 0 if nothing was sampled.
    """

    solutions: tuple[Solution, ...]
    lines: tuple[Solution, ...]
    played: Floats
    error: float = 0.0

    def upper(self, cost: ArrayLike) -> Floats:
        """Accuracy that no router exceeds at this mean normalised cost."""
        lines = [s.value + s.multiplier * np.asarray(cost, dtype=np.float64) for s in self.lines]
        return np.asarray(np.min(lines, axis=0))

    def price(self, cost: float) -> float:
        """Accuracy that a little more cost is worth there: slope of the upper bound."""
        return min(self.lines, key=lambda line: line.value + line.multiplier * cost).multiplier

    def lower(self, cost: ArrayLike) -> Floats:
        """Accuracy that a mixture of the optima reaches at this cost; NaN below the cheapest."""
        hull = _hull(self.played)
        reached = np.interp(np.asarray(cost, dtype=np.float64), hull[:, 1], hull[:, 0])
        return np.where(np.asarray(cost) < hull[0, 1] - 1e-12, np.nan, reached)

    @property
    def cheapest(self) -> float:
        """Cost of the cheapest optimum that was played or solved."""
        return float(_hull(self.played)[0, 1])

    @property
    def gap(self) -> float:
        """Greatest distance between the bounds, over the costs from the cheapest optimum to the dearest."""
        hull = _hull(self.played)
        costs = np.unique(np.concatenate([np.linspace(hull[0, 1], hull[-1, 1], 2001), hull[:, 1]]))
        return float((self.upper(costs) - self.lower(costs)).max())

    def regret(self, accuracy: float, cost: float) -> tuple[float, float]:
        """Least and greatest regret of a router: accuracy missing to the frontier at the router's own cost.

        Raises:
            ValueError: a cost below that of the cheapest optimum, which no router has.
        """
        least = float(self.lower(cost))
        if math.isnan(least):
            raise ValueError(f"cost={cost!r}; allowed: at least {self.cheapest:.4f}, the cheapest router's")
        return least - accuracy, float(self.upper(cost)) - accuracy

    @property
    def sampled(self) -> bool:
        """True if ``played`` was measured in play, a row for each of ``solutions``."""
        return self.error > 0

    def at_budget(self, budget: float) -> Mixture:
        """The optimal router whose mean normalised cost is at most ``budget``.

        Where optima were played (beliefs), the share is computed from what they cost in play: the costs that a grid of
        beliefs promises are off, and a mixture by them would exceed the budget. What is left is the sampling error of
        play. Where nothing was played, the costs are those of the bound that was solved.

        Raises:
            ValueError: no router is that cheap.
        """
        points = self.played if self.sampled else np.array([[s.accuracy, s.cost] for s in self.solutions])
        rows = _hull_rows(points)
        accuracy, costs = points[rows].T
        if not budget >= costs[0]:
            raise ValueError(f"budget={budget!r}; allowed: at least {costs[0]:.4f}, the cost of the cheapest router")
        dear = min(int(np.searchsorted(costs, budget, side="left")), len(rows) - 1)
        cheap = max(dear - 1, 0)
        spread = costs[dear] - costs[cheap]
        share = min((budget - costs[cheap]) / spread, 1.0) if spread > 0 else 1.0
        if share == 1:
            cheap = dear
        reached, paid = (float((1 - share) * of[cheap] + share * of[dear]) for of in (accuracy, costs))
        return Mixture(self.solutions[rows[cheap]], self.solutions[rows[dear]], float(share), reached, paid)


def trace_frontier(solve: Callable[[float], Solution], tolerance: float = 5e-4, most: int = 60) -> Frontier:
    """Optima at the multipliers that matter, until the bounds are ``tolerance`` apart.

    Between two neighbouring optima, the multiplier that makes them equally good is tried (Aneja and Nair, 1979).

    Args:
        solve: optimum at a multiplier.
        tolerance: in accuracy.
        most: most multipliers.

    Raises:
        ValueError: a tolerance that is not positive.
    """
    if not tolerance > 0:
        raise ValueError(f"tolerance={tolerance!r}; allowed: > 0")
    tried = [solve(CHEAPEST), solve(FREE)]
    found = sorted(tried, key=lambda s: s.cost)
    settled: set[tuple[float, float]] = set()
    while len(tried) < most:
        pairs = [
            (cheap, dear)
            for cheap, dear in pairwise(found)
            if (cheap.multiplier, dear.multiplier) not in settled and _between(cheap, dear) > tolerance
        ]
        if not pairs:
            break
        cheap, dear = max(pairs, key=lambda pair: _between(*pair))
        solution = solve((dear.accuracy - cheap.accuracy) / (dear.cost - cheap.cost))
        tried.append(solution)
        if cheap.cost + 1e-9 < solution.cost < dear.cost - 1e-9:
            found = sorted([*found, solution], key=lambda s: s.cost)
        else:
            settled.add((cheap.multiplier, dear.multiplier))
    return Frontier(tuple(found), tuple(tried), np.array([[s.accuracy, s.cost] for s in found]))


def _between(cheap: Solution, dear: Solution) -> float:
    """Greatest distance between the chord of two optima and their tangents."""
    if cheap.multiplier <= dear.multiplier or dear.cost <= cheap.cost:
        return 0.0
    cost = (cheap.value - dear.value) / (dear.multiplier - cheap.multiplier)
    slope = (dear.accuracy - cheap.accuracy) / (dear.cost - cheap.cost)
    return dear.value + dear.multiplier * cost - cheap.accuracy - slope * (cost - cheap.cost)


def _hull(points: Sequence[Sequence[float]] | Floats) -> Floats:
    """Upper concave hull of (accuracy, cost) points, by cost, rising."""
    array = np.asarray(points)
    return np.asarray(array[_hull_rows(array)])


def _hull_rows(points: Floats) -> list[int]:
    """Rows of the points that make the hull."""
    hull: list[int] = []
    for row in sorted(range(len(points)), key=lambda r: (points[r][1], -points[r][0])):
        if hull and points[row][0] <= points[hull[-1]][0]:
            continue
        while len(hull) > 1 and _below(points[hull[-2]], points[hull[-1]], points[row]):
            hull.pop()
        hull.append(row)
    return hull


def _below(first: Floats, middle: Floats, last: Floats) -> bool:
    return bool((middle[0] - first[0]) * (last[1] - first[1]) <= (last[0] - first[0]) * (middle[1] - first[1]))
