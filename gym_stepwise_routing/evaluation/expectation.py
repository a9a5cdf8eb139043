"""What a policy that draws its actions does on recorded trees, in expectation and exactly.

The optimum of a constrained problem is in general stochastic: deterministic play, or a threshold, is another policy,
with another cost. On a bank nothing has to be sampled: the chance of a recorded trace is the product of its actions'.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gym_stepwise_routing.game.config import RoutingSpec, check_budget
from gym_stepwise_routing.game.game import Game
from gym_stepwise_routing.routers.base import Router
from gym_stepwise_routing.routers.policy_network import PolicyNetwork

__all__ = ["Drawn", "expected_outcomes"]

Array = NDArray[np.float64]


class Drawn(Router):
    """A policy that draws its actions, for sources on which expectations cannot be computed.

    Args:
        network: the policy.
        seed: seed of the draws; binding to a game starts them afresh.
    """

    def __init__(self, network: PolicyNetwork, seed: int = 0) -> None:
        self.network = network
        self.name = network.name
        self.seed = seed

    def bind(self, spec: RoutingSpec) -> None:
        """Bind the policy, and start the draws afresh."""
        super().bind(spec)
        self.network.bind(spec)
        self._rng = np.random.default_rng(self.seed)

    def predict(
        self,
        observation: NDArray[np.float32],
        state: Any = None,
        episode_start: NDArray[np.bool_] | None = None,
        deterministic: bool = True,
        action_masks: NDArray[np.bool_] | None = None,
    ) -> tuple[NDArray[np.int64], Any]:
        """Actions drawn from the policy, masked ones left out; always drawn, whatever ``deterministic`` says."""
        masks = np.ones((len(observation), self.models), dtype=np.bool_) if action_masks is None else action_masks
        chances = _allowed(self.network.probabilities(observation), masks)
        over = self._rng.random((len(chances), 1)) >= np.cumsum(chances, axis=1)
        # The cumulative sum may end a rounding error below 1: the last allowed action then.
        last = masks.shape[1] - 1 - np.argmax(masks[:, ::-1], axis=1)
        return np.minimum(over.sum(axis=1), last).astype(np.int64), state


def expected_outcomes(network: PolicyNetwork, game: Game, *, budget: float | None = None) -> tuple[Array, Array]:
    """Chance of a right answer and expected cost of each problem, ``float64[n]`` each, when actions are drawn.

    Args:
        network: the policy, without memory. Masked actions are left out and the others' chances scaled up.
        game: a game on a bank.
        budget: budget shown in the observation, > 0; None shows none. It ends no episode.

    Raises:
        ValueError: a game without a table, a recurrent policy, a game with a hard budget, or one whose observation
            cannot show the budget.
    """
    table = game.tree("there is no tree to sum over")
    if network.recurrent or game.hard_budget:
        reason = "a recurrent policy" if network.recurrent else "hard_budget=True"
        raise ValueError(f"{reason}; allowed: a policy and a game that forget nothing but what is observed")
    if budget is not None and game.budget_columns is None:
        raise ValueError(f"budget={budget!r} without the observation block 'ledger', which shows it; allowed: None")
    network.bind(game.spec)
    budgets = np.full(len(table), np.inf if check_budget(budget) is None else budget)
    seen = game.show_budget(table.observation.copy(), table.cost, budgets)
    chances = _allowed(network.probabilities(seen), table.mask)
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


def _allowed(chances: Array, masks: NDArray[np.bool_]) -> Array:
    """Chances without masked actions, scaled to sum to 1 (0 where nothing is allowed)."""
    kept = np.where(masks, chances, 0.0)
    # A policy that is certain of a masked action chooses evenly among the allowed ones.
    kept = np.where(masks & (kept.sum(axis=1, keepdims=True) == 0), 1.0, kept)
    scaled: Array = kept / np.maximum(kept.sum(axis=1, keepdims=True), np.finfo(np.float64).tiny)
    return scaled
