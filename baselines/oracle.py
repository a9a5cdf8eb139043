"""The per-problem oracle: what a router could do that knew how every branch ends. A bound, not a router."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gym_stepwise_routing.baselines.constant import AlwaysModel
from gym_stepwise_routing.evaluation.evaluate import Evaluation, play
from gym_stepwise_routing.game.game import Game
from gym_stepwise_routing.game.tabulation import GameTable
from gym_stepwise_routing.routers.base import Replay

__all__ = ["OraclePaths", "knows_paths", "oracle", "oracle_paths"]


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


def knows_paths(game: Game) -> bool:
    """Whether the cheapest paths of a game can be known: it has a table, or is a recorded one in *restart*."""
    return (game.rules.mode == "restart" and game.source.deterministic) or game.table is not None


def oracle_paths(game: Game) -> OraclePaths:
    """Cheapest paths by dynamic programming on the recorded tree, exact.

    In *restart* no table is needed: a larger model's run is the same whatever came before, so that nothing before it is
    worth its cost, and the cheapest path is one model's whole run.

    Raises:
        NotApplicableError: a game without a table, such as that of a random source.
        ValueError: a hard budget is drawn from a range.
    """
    limit = _limit(game)
    if game.rules.mode == "restart" and game.source.deterministic:
        return _whole_runs(game, limit)
    table = game.tree("no path is known before it is played")
    counts = table.correct & (table.cost <= limit)
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


def _limit(game: Game) -> float:
    """What a path may cost: the hard budget, if there is one."""
    if not game.hard_budget:
        return np.inf
    if not isinstance(game.budget, float):
        raise ValueError(f"budget={game.budget!r} is drawn anew each episode; allowed: a number, or hard_budget=False")
    return game.budget


def _whole_runs(game: Game, limit: float) -> OraclePaths:
    """Cheapest paths in *restart*: each model alone, from the first step to the end; of equal ones the smallest."""
    # to the end, whatever the budget; a model that was not recorded is another's path
    played = Game(game.config, masked_action="project", hard_budget=False, normaliser=game.normaliser)
    runs = [play(AlwaysModel(model), played) for model in range(len(game.spec.models))]
    cost = np.stack([run.cost for run in runs])
    aimed = np.where(np.stack([run.right for run in runs]) & (cost <= limit), cost, np.inf)
    decisions, columns = np.stack([run.decisions for run in runs]), np.arange(cost.shape[1])
    least = cost.argmin(axis=0)
    best = np.where(np.isfinite(aimed.min(axis=0)), aimed.argmin(axis=0), least)
    return OraclePaths(
        aimed.min(axis=0),
        cost.min(axis=0),
        decisions[best, columns].astype(np.int8),
        decisions[least, columns].astype(np.int8),
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
