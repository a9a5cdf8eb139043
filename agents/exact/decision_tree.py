"""A tabulated game as tensors: what every policy is worth, and what every decision changes, by sums over its rows.

Actions come first in every array: what belongs to one action lies together, and a row of it holds all policies, so that
children are gathered and parents summed row by row.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch as th

from gym_stepwise_routing.game.game import Game

__all__ = ["DecisionTree", "Worth"]


@dataclass(frozen=True, slots=True)
class Worth:
    """What ``M`` policies do, in expectation. Where an axis has length 2, it holds right answers (0) and costs (1).

    Attributes:
        right: ``float[P, M]`` chance of a right answer to each problem.
        cost: ``float[P, M]`` normalised cost of each problem.
        value: ``float[n, 2, M]`` what is to come in each state.
        after: K times ``float[n, 2, M]``, what is to come with each action in each state; 0 where masked.
    """

    right: th.Tensor
    cost: th.Tensor
    value: th.Tensor
    after: list[th.Tensor]


class DecisionTree:
    """The states of a game in which something is decided, ``n`` of them, parents before children.

    Args:
        game: a game on a bank, without a hard budget and without budgets drawn from a range.
        dtype: of the tensors.

    Attributes:
        observation: ``float[n, features]`` what a policy sees; a budget of the game is shown.
        mask: ``bool[K, n]`` allowed actions.
        problem: ``int64[n]`` problem of each state, in [0, P).
        problems: P, the number of problems.

    Raises:
        NotApplicableError: a random source, or one with too many paths for a table.
        ValueError: a hard budget, or budgets that are drawn.
    """

    def __init__(self, game: Game, dtype: th.dtype = th.float32) -> None:
        table = game.tree(
            "not every branch is known; allowed: a bank with fewer paths, or an agent that samples, such as all_budgets"
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
        parent, action = np.nonzero(after < self._n)
        edges = [0, begin]
        while edges[-1] < self._n:
            edges.append(edges[-1] + int((after[edges[-2] : edges[-1]] < self._n).sum()))
        self._levels = [slice(*pair) for pair in pairwise(edges)]
        self.observation = th.as_tensor(seen[rows], dtype=dtype)
        self.mask = th.as_tensor(np.ascontiguousarray(table.mask[rows].T))
        self.problem = th.as_tensor(table.problem[rows].astype(np.int64))
        self._after = th.as_tensor(np.ascontiguousarray(after.T))
        # Where in [K n] the action stands that led to each state, and its parent; of roots nowhere.
        self._parent, self._came = (
            th.as_tensor(np.append(np.zeros(begin, np.int64), part)) for part in (parent, action * self._n + parent)
        )
        right = np.where(leaf, (table.terminal & table.correct)[child], 0.0)
        spent = np.where(child >= 0, table.cost[child] - table.cost[rows][:, None], 0.0)
        gain = np.stack([right.T, spent.T], axis=2)[..., None]
        self._gain = th.as_tensor(np.ascontiguousarray(gain), dtype=dtype)  # [K, n, 2, 1]
        self._roots = th.as_tensor(place[table.roots])
        self._begun = th.as_tensor(begun, dtype=dtype).unsqueeze(1)
        self._decided = th.as_tensor(~table.stuck[table.roots])

    def __len__(self) -> int:
        return self._n

    @property
    def solvable(self) -> bool:
        """Whether some recorded answer is right."""
        return bool((self._gain[:, :, 0] > 0).any())

    def constant(self, model: int) -> th.Tensor:
        """Chances ``float[K, n, 1]`` of a policy that takes the smallest (0) or largest (-1) allowed model."""
        order = self.mask if model == 0 else self.mask.flip(0)
        first = th.nn.functional.one_hot(order.int().argmax(dim=0), len(order)).T
        return (first if model == 0 else first.flip(0)).unsqueeze(2).to(self.observation.dtype)

    def by_coin(self, weight: float = 1.0) -> th.Tensor:
        """How often a coin between the allowed actions reaches each state, ``float[n]``, with this weight a problem."""
        coin = (self.mask / self.mask.sum(dim=0)).to(self.observation.dtype).unsqueeze(2)
        return self.reach(coin, self.observation.new_full((self.problems, 1), weight))[:, 0]

    def worth(self, chances: th.Tensor) -> Worth:
        """Values of policies from the leaves up.

        Args:
            chances: ``float[K, n, M]`` probability of each action under each of ``M`` policies, 0 where masked.
        """
        actions, n, policies = chances.shape
        value = chances.new_zeros(n + 1, 2, policies)
        after = [chances.new_empty(n, 2, policies) for _ in range(actions)]
        for level in reversed(self._levels):
            here = value[level]
            for action, to_come in enumerate(after):
                # index_select copies whole rows; value[...] takes ten times as long
                found = value.index_select(0, self._after[action, level]).add_(self._gain[action, level])
                to_come[level] = found
                here += found.mul_(chances[action, level].unsqueeze(1))
        roots = value.index_select(0, self._roots)
        return Worth(roots[:, 0], roots[:, 1] + self._begun, value[:n], after)

    def reach(self, chances: th.Tensor, weight: th.Tensor) -> th.Tensor:
        """How often each state is decided in, ``float[n, M]``, where problems come with weights ``float[P, M]``."""
        _, n, policies = chances.shape
        flat = chances.reshape(-1, policies)
        reached = chances.new_empty(n, policies)
        reached[self._levels[0]] = weight[self._decided]
        for level in self._levels[1:]:
            step = flat.index_select(0, self._came[level])
            reached[level] = step.mul_(reached.index_select(0, self._parent[level]))
        return reached
