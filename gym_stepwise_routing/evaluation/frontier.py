"""Two frontiers to hold a sweep against: what needs no router at all, and what no router can beat."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from gym_stepwise_routing.evaluation.curves import Array

__all__ = ["Frontier", "oracle_frontier", "zero_router_hull"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Frontier:
    """A non-decreasing concave frontier, straight between its vertices and flat after the last.

    Attributes:
        costs: mean cost of each vertex, ``float64[m]``, strictly increasing.
        accuracies: accuracy of each vertex, ``float64[m]``, strictly increasing.
    """

    costs: Array
    accuracies: Array

    def accuracy(self, cost: float) -> float | None:
        """Accuracy at a mean cost of at most ``cost``, mixing two vertices at random; None below the first vertex."""
        if cost < self.costs[0]:
            return None
        return float(np.interp(cost, self.costs, self.accuracies))


def zero_router_hull(costs: ArrayLike, accuracies: ArrayLike) -> Frontier:
    """Non-decreasing concave hull of the single models: what mixing constants at random attains.

    The "zero router" of RouterBench (arXiv 2403.12031); a router that does not rise above it has learned nothing.

    Args:
        costs: mean cost of each model played alone, ``[K]``, finite and >= 0.
        accuracies: its accuracy, ``[K]``, in [0, 1].

    Returns:
        The hull, from the cheapest model to the most accurate one.

    Raises:
        ValueError: arrays that are empty, of different lengths or out of range.
    """
    cost, accuracy = np.asarray(costs, dtype=np.float64), np.asarray(accuracies, dtype=np.float64)
    if cost.ndim != 1 or cost.shape != accuracy.shape or not cost.size:
        raise ValueError(f"costs {cost.shape} and accuracies {accuracy.shape} must be equally long, non-empty vectors")
    if not (np.isfinite(cost).all() and cost.min() >= 0 and accuracy.min() >= 0 and accuracy.max() <= 1):
        raise ValueError("costs must be finite and >= 0, accuracies must lie in [0, 1]")
    vertices: list[tuple[float, float]] = []
    # By cost, and the most accurate first among equal costs: a model that adds no accuracy is no vertex.
    for i in np.lexsort((-accuracy, cost)):
        point = float(cost[i]), float(accuracy[i])
        if vertices and point[1] <= vertices[-1][1]:
            continue
        while len(vertices) >= 2 and _slope(vertices[-2], vertices[-1]) <= _slope(vertices[-1], point):
            vertices.pop()
        vertices.append(point)
    return Frontier(costs=np.array([c for c, _ in vertices]), accuracies=np.array([a for _, a in vertices]))


def oracle_frontier(cheapest_right_cost: ArrayLike, cheapest_any_cost: ArrayLike) -> Frontier:
    """The ceiling of any router on a bank: the best accuracy for every mean cost, knowing all outcomes.

    The oracle takes for each problem either the cheapest recorded path that is right or the cheapest path whatever its
    outcome. Getting problem i right costs ``e_i = right_i - any_i >= 0`` extra and gains exactly one right answer, the
    same for all problems. So among all ways to get m problems right the m smallest extras cost least (swap any other
    choice for a smaller extra: same gain, lower cost): taking extras in increasing order is exact at every vertex,
    unlike in a general knapsack, where gains differ. As the extras increase, the frontier is concave, and mixing two
    neighbouring vertices at random is optimal for the budgets between.

    Args:
        cheapest_right_cost: cost of the cheapest path that is right, ``[n]``; inf where none is.
        cheapest_any_cost: cost of the cheapest path, right or wrong, ``[n]``, finite, at most ``cheapest_right_cost``.

    Returns:
        At most ``n + 1`` vertices. The first costs ``mean(any)`` and gets right whatever is right at no extra cost; the
        last gets right every problem that any recorded path solves.

    Raises:
        ValueError: arrays that are empty or of different lengths, a negative, infinite or nan path cost, or a right
            path cheaper than the cheapest path.
    """
    right, cheapest = np.asarray(cheapest_right_cost, dtype=np.float64), np.asarray(cheapest_any_cost, dtype=np.float64)
    if cheapest.ndim != 1 or cheapest.shape != right.shape or not cheapest.size:
        raise ValueError(
            f"cheapest_right_cost {right.shape} and cheapest_any_cost {cheapest.shape} must be equally long, non-empty "
            "vectors"
        )
    if not (np.isfinite(cheapest).all() and cheapest.min() >= 0.0):
        raise ValueError("cheapest_any_cost must be finite and >= 0")
    wrong = np.flatnonzero(~(right >= cheapest))
    if wrong.size:
        i = wrong[0]
        raise ValueError(f"cheapest_right_cost[{i}]={right[i]} is below cheapest_any_cost[{i}]={cheapest[i]}, or nan")
    extras = np.sort(right - cheapest)
    extras = extras[np.isfinite(extras)]
    free = int(np.count_nonzero(extras == 0.0))
    return Frontier(
        costs=(cheapest.sum() + np.concatenate([[0.0], np.cumsum(extras[free:])])) / len(cheapest),
        accuracies=np.arange(free, len(extras) + 1) / len(cheapest),
    )


def _slope(start: tuple[float, float], end: tuple[float, float]) -> float:
    # Costs differ: among equal costs only the most accurate becomes a vertex.
    return (end[1] - start[1]) / (end[0] - start[0])
