"""The per-problem oracle: what a router could do that knew how every branch ends. A bound, not a router."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gym_stepwise_routing.evaluation.evaluate import Evaluation, play
from gym_stepwise_routing.game.game import Game
from gym_stepwise_routing.game.tabulation import GameTable
from gym_stepwise_routing.routers.base import Replay

__all__ = ["OraclePaths", "oracle", "oracle_paths"]


@dataclass(frozen=True, slots=True, eq=False)
class OraclePaths:
    """Cheapest paths of every problem.

    Attributes:
        right: ``float64[n]`` normalised cost of the cheapest path to the right answer (within a hard budget), inf where
            there is none.
        any: ``float64[n]`` normalised cost of the cheapest path.
        decisions: ``int8[n, H]`` the cheapest right path, or the cheapest path where none is right; -1 after the end.
        cheapest: ``int8[n, H]`` the cheapest path, right or wrong; -1 after the end.
    """

    right: NDArray[np.float64]
    any: NDArray[np.float64]
    decisions: NDArray[np.int8]
    cheapest: NDArray[np.int8]


def oracle_paths(game: Game) -> OraclePaths:
    """Cheapest paths by dynamic programming on the recorded tree, exact.

    Raises:
        NotApplicableError: a game without a table, such as that of a random source.
        ValueError: a hard budget is drawn from a range.
    """
    table = game.tree("no path is known before it is played")
    counts = table.correct
    if game.hard_budget:
        if not isinstance(game.budget, float):
            raise ValueError(
                f"budget={game.budget!r} is drawn anew each episode; allowed: a number, or hard_budget=False"
            )
        counts = counts & (table.cost <= game.budget)
    right = _cheapest(table, np.where(counts, table.cost, np.inf))
    any_path = _cheapest(table, np.where(table.stuck, table.cost, np.inf))
    solvable = np.isfinite(right[table.roots])
    value = np.where(solvable[table.problem], right, any_path)
    return OraclePaths(
        right[table.roots],
        any_path[table.roots],
        _towards(table, value, game.rules.longest),
        _towards(table, any_path, game.rules.longest),
    )


def _towards(table: GameTable, value: NDArray[np.float64], horizon: int) -> NDArray[np.int8]:
    """Decisions from each root to the least value, ``int8[n, H]``."""
    decisions = np.full((len(table.roots), horizon), -1, dtype=np.int8)
    row = table.roots.astype(np.int64)
    for step in range(horizon):
        going = np.flatnonzero(~table.stuck[row])
        children = table.child[row[going]]
        costs = np.where(children >= 0, value[children], np.inf)
        action = np.argmin(costs, axis=1)
        decisions[going, step] = action
        row[going] = children[np.arange(len(going)), action]
    return decisions


def oracle(game: Game) -> Evaluation:
    """The cheapest right path of every problem, played; the cheapest path where none is right."""
    return play(Replay(oracle_paths(game).decisions, name="oracle"), game)


def _cheapest(table: GameTable, leaf: NDArray[np.float64]) -> NDArray[np.float64]:
    """Least leaf value below each row, level by level from the deepest."""
    value = leaf.copy()
    for depth in range(int(table.depth.max()) - 1, -1, -1):
        rows = np.flatnonzero((table.depth == depth) & ~table.stuck)
        children = table.child[rows]
        value[rows] = np.where(children >= 0, value[children], np.inf).min(axis=1)
    return value
