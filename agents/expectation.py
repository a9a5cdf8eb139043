"""What a policy that draws its actions does on recorded trees, in expectation and exactly.

The optimum of a constrained problem is in general stochastic: deterministic play, or a threshold, is another policy,
with another cost. On a bank nothing has to be sampled: the chance of a recorded trace is the product of its actions'.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gym_stepwise_routing.agents.networks import PolicyNetwork
from gym_stepwise_routing.game import Game, check_budget

__all__ = ["expected_outcomes"]

Array = NDArray[np.float64]


def expected_outcomes(network: PolicyNetwork, game: Game, *, budget: float | None = None) -> tuple[Array, Array]:
    """Chance of a right answer and expected cost of each problem, ``float64[n]`` each, when actions are drawn.

    Args:
        network: the policy, without memory. Masked actions are left out and the others' chances scaled up.
        game: a game on a bank.
        budget: budget shown in the observation, > 0; None shows none. It ends no episode.

    Raises:
        ValueError: a source that is not a bank, a recurrent policy, a game with a hard budget, or one whose observation
            cannot show the budget.
    """
    table = game.table
    if table is None:
        raise ValueError(f"source={game.source.name!r} is random; allowed: a deterministic source such as a bank")
    if network.recurrent or game.hard_budget:
        reason = "a recurrent policy" if network.recurrent else "hard_budget=True"
        raise ValueError(f"{reason}; allowed: a policy and a game that forget nothing but what is observed")
    if budget is not None and game.budget_columns is None:
        raise ValueError(f"budget={budget!r} without the observation block 'ledger', which shows it; allowed: None")
    network.bind(game.spec)
    budgets = np.full(len(table), np.inf if check_budget(budget) is None else budget)
    seen = game.with_budget(table.observation.copy(), table.cost, budgets)
    chances = np.where(table.mask, network.probabilities(seen), 0.0)
    # A policy that is certain of a masked action chooses evenly among the allowed ones.
    chances = np.where(table.mask & (chances.sum(axis=1, keepdims=True) == 0), 1.0, chances)
    chances /= np.maximum(chances.sum(axis=1, keepdims=True), np.finfo(np.float64).tiny)
    reach = np.zeros(len(table))
    reach[table.roots] = 1.0
    for depth in range(int(table.depth.max())):
        rows = np.flatnonzero((table.depth == depth) & ~table.stuck)
        actions = table.child[rows] >= 0
        children = table.child[rows][actions]
        reach[children] = (reach[rows, None] * chances[rows])[actions]
    right, cost = np.zeros((2, len(table.roots)))
    ends = np.flatnonzero(table.stuck)
    np.add.at(right, table.problem[ends], reach[ends] * (table.terminal & table.correct)[ends])
    np.add.at(cost, table.problem[ends], (reach * table.cost)[ends])
    return np.clip(right, 0.0, 1.0), cost
