"""What learned routers are fitted on: states of decision and all that followed, from a table or from sampled episodes.

A recorded tree tells what every action would have led to; a random source only tells what the actions that were played
led to. Both come in one form, so that the fitted routers need not know the difference.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gym_stepwise_routing.game.episodes import positions
from gym_stepwise_routing.game.game import Game
from gym_stepwise_routing.game.row_table import project_actions

__all__ = ["Experience", "experience", "folds", "join", "path_values", "reach", "uniform_values"]

EPISODES = 4_000
"""Episodes sampled from a random source."""

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Experience:
    """``N`` states with ``K`` actions, parents before children.

    Attributes:
        observation: ``float32[N, features]``.
        problem: ``int64[N]`` group of the state: states of one group are not independent.
        depth: ``int64[N]`` steps so far.
        mask: ``bool[N, K]`` allowed actions.
        child: ``int64[N, K]`` state after each action, -1 where masked or unknown.
        cost: ``float64[N]`` normalised cost so far.
        right: ``float64[N]`` 1 where the trace has ended with the right answer.
        ended: ``bool[N]`` no decision is left.
    """

    observation: NDArray[np.float32]
    problem: Ints
    depth: Ints
    mask: NDArray[np.bool_]
    child: Ints
    cost: Floats
    right: Floats
    ended: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.child)

    def take(self, rows: Ints) -> Experience:
        """Some of the states; children that are not among them become unknown."""
        place = np.full(len(self) + 1, -1, dtype=np.int64)
        place[rows] = np.arange(len(rows))
        return Experience(
            observation=self.observation[rows],
            problem=self.problem[rows],
            depth=self.depth[rows],
            mask=self.mask[rows],
            child=place[self.child[rows]],
            cost=self.cost[rows],
            right=self.right[rows],
            ended=self.ended[rows],
        )

    @property
    def levels(self) -> list[Ints]:
        """States that await a decision, by depth, deepest first."""
        waiting = np.flatnonzero(~self.ended)
        depths = self.depth[waiting]
        return [waiting[depths == depth] for depth in range(int(self.depth.max()), -1, -1)]


def experience(game: Game, *, episodes: int = EPISODES, seed: int = 0) -> Experience:
    """Everything that the game's table holds; of a random source, episodes of uniformly random decisions.

    Args:
        game: the game, of the train split unless a bound is computed.
        episodes: number of sampled episodes (random sources only).
        seed: seed of the sampling (random sources only).
    """
    table = game.table
    if table is None:
        return _sampled(game, episodes, np.random.default_rng(seed))
    return Experience(
        observation=table.observation,
        problem=table.problem.astype(np.int64),
        depth=table.depth.astype(np.int64),
        mask=table.mask,
        child=table.child.astype(np.int64),
        cost=table.cost,
        right=table.correct.astype(np.float64),
        ended=table.stuck,
    )


def _sampled(game: Game, episodes: int, rng: np.random.Generator) -> Experience:
    run = positions(game, episodes)
    everyone = np.arange(episodes)
    run.begin(everyone, rng.integers(len(game.problems), size=episodes), rng)
    models = len(game.spec.models)
    levels: list[dict[str, NDArray[Any]]] = []
    offset, alive, depth = 0, everyone, 0
    while True:
        stand = run.standing()
        offset += len(alive)
        level = {
            "observation": stand.observation[alive],
            "problem": alive,
            "depth": np.full(len(alive), depth),
            "mask": stand.mask[alive],
            "child": np.full((len(alive), models), -1, dtype=np.int64),
            "cost": stand.cost[alive],
            "right": stand.correct[alive].astype(np.float64),
            "ended": stand.stuck[alive],
        }
        levels.append(level)
        going = np.flatnonzero(~stand.stuck[alive])
        if len(going) == 0:
            break
        actions = project_actions(rng.integers(models, size=episodes), stand.mask)
        level["child"][going, actions[alive[going]]] = offset + np.arange(len(going))
        run.move(actions, rng, stand.stuck)
        alive = alive[going]
        depth += 1
    return Experience(**{name: np.concatenate([level[name] for level in levels]) for name in levels[0]})


def join(parts: Sequence[Experience]) -> Experience:
    """Several experiences as one; problems are renumbered, those of the first part keep their numbers and places."""
    sizes = np.cumsum([0, *(len(part) for part in parts)])
    problems = np.cumsum([0, *(part.problem.max() + 1 for part in parts)])
    columns = {
        name: np.concatenate([getattr(part, name) for part in parts])
        for name in ("observation", "depth", "mask", "cost", "right", "ended")
    }
    moved = [np.where(part.child >= 0, part.child + first, -1) for part, first in zip(parts, sizes[:-1], strict=True)]
    numbered = [part.problem + first for part, first in zip(parts, problems[:-1], strict=True)]
    return Experience(child=np.concatenate(moved), problem=np.concatenate(numbered), **columns)


def reach(known: Experience) -> Floats:
    """Probability of reaching each state under uniformly random decisions, ``float64[N]``; 1 for sampled states.

    Weights of the fits: a full tree has more states the deeper it goes, an episode has not.
    """
    if not _complete(known):
        return np.ones(len(known))
    weight = np.zeros(len(known))
    weight[known.depth == 0] = 1.0
    for rows in reversed(known.levels):
        share = weight[rows] / known.mask[rows].sum(axis=1)
        for action in range(known.child.shape[1]):
            has = known.child[rows, action] >= 0
            weight[known.child[rows[has], action]] = share[has]
    return weight


def _complete(known: Experience) -> bool:
    return bool(((known.child >= 0) == known.mask).all())


def uniform_values(known: Experience, leaf: Floats) -> Floats:
    """Mean leaf value below each state if every decision from there is drawn uniformly, ``float64[N]``.

    With ``leaf = known.right`` these are the soft labels of Math-Shepherd (arXiv 2312.08935), exact on a tree: the
    share of continuations that end right.
    """
    value = np.where(known.ended, leaf, 0.0)
    for rows in known.levels:
        children = known.child[rows]
        has = children >= 0
        value[rows] = np.where(has, value[children], 0.0).sum(axis=1) / np.maximum(has.sum(axis=1), 1)
    return value


def path_values(known: Experience, actions: Ints, leaf: Floats, guess: Floats) -> Floats:
    """Leaf value that following ``actions`` leads to from each state, ``float64[N]``.

    Args:
        known: the states.
        actions: ``int64[N]`` decision in each state.
        leaf: ``float64[N]`` value of ended states.
        guess: ``float64[N]`` value where the outcome of the decision is not known.
    """
    value = np.where(known.ended, leaf, guess)
    for rows in known.levels:
        children = known.child[rows, actions[rows]]
        value[rows] = np.where(children >= 0, value[children], guess[rows])
    return value


def folds(groups: Ints, count: int, seed: int = 0) -> Ints:
    """Fold of each state, ``int64[N]`` in [0, count): whole groups, at random.

    Raises:
        ValueError: fewer groups than folds, or fewer than two folds.
    """
    names, index = np.unique(groups, return_inverse=True)
    if not 2 <= count <= len(names):
        raise ValueError(f"folds={count!r}; allowed: 2 to the number of problems, {len(names)}")
    order = np.random.default_rng(seed).permutation(len(names))
    fold: Ints = (order % count)[index]
    return fold
