"""A tabulated game as tensors: what every policy is worth, and what every decision changes, by sums over its rows."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch as th

from gym_stepwise_routing.game.game import Game

__all__ = ["DecisionTree", "Worth"]


@dataclass(frozen=True, slots=True)
class Worth:
    """What ``M`` policies do, in expectation.

    Attributes:
        right: ``float[P, M]`` chance of a right answer to each problem.
        cost: ``float[P, M]`` normalised cost of each problem.
        q_right: ``float[n, K, M]`` chance of a right answer after each action in each state; 0 where masked.
        q_cost: ``float[n, K, M]`` cost to come with each action in each state.
    """

    right: th.Tensor
    cost: th.Tensor
    q_right: th.Tensor
    q_cost: th.Tensor


class DecisionTree:
    """The states of a game in which something is decided, ``n`` of them, parents before children.

    Args:
        game: a game on a bank, without a hard budget and without budgets drawn from a range.
        dtype: of the tensors.

    Attributes:
        observation: ``float[n, features]`` what a policy sees; a budget of the game is shown.
        mask: ``bool[n, K]`` allowed actions.
        problems: P, the number of problems.

    Raises:
        ValueError: a random source, a hard budget, or budgets that are drawn.
    """

    def __init__(self, game: Game, dtype: th.dtype = th.float32) -> None:
        table = game.table
        if table is None:
            raise ValueError(
                f"source={game.source.name!r} is random: not every branch is known; allowed: a bank, or an agent that "
                "samples, such as all_budgets"
            )
        if game.hard_budget or isinstance(game.budget, tuple):
            raise ValueError(
                f"budget={game.budget!r}, hard_budget={game.hard_budget!r}; allowed: None, or one budget that is only "
                "shown (all budgets are learned at once, by tilts of one policy)"
            )
        rows = np.flatnonzero(~table.stuck)
        self._n, self.problems = len(rows), len(table.roots)
        place = np.full(len(table) + 1, self._n)  # whatever decides nothing has no value to come: row n
        place[rows] = np.arange(self._n)
        child = table.child[rows]
        after = np.where(child >= 0, place[child], self._n)
        leaf = (child >= 0) & (after == self._n)
        seen = table.observation
        if game.budget is not None:
            seen = game.show_budget(seen.copy(), table.cost, np.full(len(table), float(game.budget)))
        begun = table.cost[table.roots]
        # A table has its roots first, and then the children of each level in the order of their parents.
        begin = int((~table.stuck[table.roots]).sum())
        came = np.nonzero(after < self._n)
        self._parent, self._action = (th.as_tensor(np.append(np.zeros(begin, np.int64), part)) for part in came)
        edges = [0, begin]
        while edges[-1] < self._n:
            edges.append(edges[-1] + int((after[edges[-2] : edges[-1]] < self._n).sum()))
        self._levels = [slice(*pair) for pair in pairwise(edges)]
        self.observation = th.as_tensor(seen[rows], dtype=dtype)
        self.mask = th.as_tensor(table.mask[rows])
        self._after = th.as_tensor(after)
        self._right = th.as_tensor(np.where(leaf, (table.terminal & table.correct)[child], 0.0), dtype=dtype)
        spent = np.where(child >= 0, table.cost[child] - table.cost[rows][:, None], 0.0)
        self._cost = th.as_tensor(spent, dtype=dtype)
        self._roots = th.as_tensor(place[table.roots])
        self._begun = th.as_tensor(begun, dtype=dtype)
        self._decided = th.as_tensor(~table.stuck[table.roots])

    def __len__(self) -> int:
        return self._n

    @property
    def solvable(self) -> bool:
        """Whether some recorded answer is right."""
        return bool((self._right > 0).any())

    def constant(self, model: int) -> th.Tensor:
        """Chances ``float[n, K, 1]`` of a policy that takes the smallest (0) or largest (-1) allowed model."""
        order = self.mask if model == 0 else self.mask.flip(1)
        first = th.nn.functional.one_hot(order.int().argmax(dim=1), order.shape[1])
        return (first if model == 0 else first.flip(1)).unsqueeze(2).to(self.observation.dtype)

    def worth(self, chances: th.Tensor) -> Worth:
        """Values of policies from the leaves up.

        Args:
            chances: ``float[n, K, M]`` probability of each action under each of ``M`` policies, 0 where masked.
        """
        n, _, policies = chances.shape
        right, cost = (chances.new_zeros(n + 1, policies) for _ in range(2))
        q_right, q_cost = th.zeros_like(chances), th.zeros_like(chances)
        for level in reversed(self._levels):
            after, p = self._after[level], chances[level]
            q_right[level] = self._right[level].unsqueeze(2) + right[after]
            q_cost[level] = self._cost[level].unsqueeze(2) + cost[after]
            right[level] = (p * q_right[level]).sum(dim=1)
            cost[level] = (p * q_cost[level]).sum(dim=1)
        return Worth(right[self._roots], cost[self._roots] + self._begun.unsqueeze(1), q_right, q_cost)

    def reach(self, chances: th.Tensor, weight: th.Tensor) -> th.Tensor:
        """How often each state is decided in, ``float[n, M]``, where problems come with weights ``float[P, M]``."""
        reached = chances.new_zeros(len(self), chances.shape[2])
        reached[self._roots[self._decided]] = weight[self._decided]
        for level in self._levels[1:]:
            parent = self._parent[level]
            reached[level] = reached[parent] * chances[parent, self._action[level]]
        return reached
