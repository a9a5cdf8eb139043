"""Playing a solution: the router that the planner found, in the game itself, episode by episode.

The accuracy and cost that it reaches are a lower bound of the optimum, up to sampling error; the rules and the ledger
are those of :mod:`gym_stepwise_routing.game.transitions`, so that the planner's own accounting is checked as well.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gym_stepwise_routing.game.transitions import Play, Rules
from gym_stepwise_routing.planning.knowledge import Knowledge
from gym_stepwise_routing.planning.program import Program, Solution

__all__ = ["Played", "Turn", "best_actions", "play_solution", "turns"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Played:
    """What a router did in ``n`` episodes.

    Attributes:
        right: ``float64[n]`` whether the answer was right; or an unbiased estimate of the chance (:mod:`.measure`).
        cost: ``float64[n]``, normalised; or an unbiased estimate.
    """

    right: Floats
    cost: Floats

    @property
    def accuracy(self) -> float:
        """Share of right answers."""
        return float(self.right.mean())

    @property
    def mean_cost(self) -> float:
        """Mean normalised cost."""
        return float(self.cost.mean())

    def value_error(self, multiplier: float) -> float:
        """Standard error of ``accuracy - multiplier x cost``."""
        value = self.right - multiplier * self.cost
        return float(value.std(ddof=1) / np.sqrt(len(value)))


@dataclass(frozen=True, slots=True, eq=False)
class Turn:
    """One decision in each of the ``B`` episodes that go on.

    Attributes:
        depth: steps so far, in *restart* those of attempts that were left included.
        number: ``int64[B]`` of the episode.
        before: the traces when it was decided.
        points: ``int64[B, V]`` what was known of them, as points of the kernel.
        weights: ``float64[B, V]`` of the points.
        actions: ``int64[B]``.
        after: the traces with the new step.
    """

    depth: int
    number: Ints
    before: Play
    points: Ints
    weights: Floats
    actions: Ints
    after: Play


def turns(
    program: Program,
    solution: Solution,
    knowledge: Knowledge,
    rules: Rules,
    *,
    episodes: int,
    seed: int | tuple[int, ...],
) -> Iterator[Turn]:
    """Play a solution that was solved with ``keep_choices``, decision by decision.

    While a turn is looked at, ``knowledge`` is what was known before it.

    Args:
        program: the game that was solved.
        solution: the solution.
        knowledge: what its router knows.
        rules: of the game; problems are drawn from all numbers of its simulator.
        episodes: how many.
        seed: of the episodes, as ``numpy.random.default_rng`` takes it.

    Raises:
        ValueError: a solution without choices, or no episodes.
    """
    if not solution.choices:
        raise ValueError("solution has no choices; allowed: solve(..., keep_choices=True)")
    if episodes < 1:
        raise ValueError(f"episodes={episodes!r}; allowed: an integer >= 1")
    rng = np.random.default_rng(seed)
    play, number = rules.start(rng.integers(2**40, size=episodes), rng), np.arange(episodes)
    knowledge.begin(episodes)
    for depth in range(rules.longest):
        points, weights = knowledge.points(play)
        actions = _decide(program, solution, knowledge, play, points, weights)
        after = rules.step(play, actions, rng)
        yield Turn(depth, number, play, points, weights, actions, after)
        knowledge.learn(play, after, actions, depth)
        going = np.flatnonzero(~after.trace.terminal)
        if len(going) == 0:
            break
        play, number = after.take(going), number[going]
        knowledge.keep(going)


def play_solution(
    program: Program,
    solution: Solution,
    knowledge: Knowledge,
    rules: Rules,
    *,
    episodes: int,
    seed: int | tuple[int, ...],
) -> Played:
    """What a solution reaches. Arguments as :func:`turns`."""
    right, cost = np.zeros(episodes), np.zeros(episodes)
    for turn in turns(program, solution, knowledge, rules, episodes=episodes, seed=seed):
        right[turn.number] = turn.after.trace.correct
        cost[turn.number] = rules.cost(turn.after) / program.costs.normaliser
    return Played(right, cost)


def _decide(
    program: Program, solution: Solution, knowledge: Knowledge, play: Play, points: Ints, weights: Floats
) -> Ints:
    models = program.stop.shape[0]
    unread = program.lattice.nearest(play.account.context - play.account.cached)[:, :models]
    depths = np.unique(play.trace.depth).tolist()  # one, but in restart, where it is that of each attempt
    if program.kernel.drafts:
        return best_actions(solution.choices[depths[0]][0], knowledge.rows(play, points), weights, unread)
    if depths == [0]:
        return best_actions(solution.choices[0][0], points, weights, None)
    actions = np.zeros(len(play), dtype=np.int64)
    for depth in depths:
        for writer, worth in enumerate(solution.choices[depth]):
            rows = np.flatnonzero((play.trace.model == writer) & (play.trace.depth == depth))
            actions[rows] = best_actions(worth, points[rows], weights[rows], unread[rows])
    return actions


def best_actions(worth: NDArray[np.float32], rows: Ints, weights: Floats, unread: Ints | None) -> Ints:
    """Action of greatest interpolated worth, ``int64[B]``.

    Args:
        worth: ``float32[action, row, unread...]``.
        rows: ``int64[B, V]``, with their weights.
        weights: ``float64[B, V]``.
        unread: ``int64[B, K]`` point of the lattice of each model; None where ``worth`` has no such axes.
    """
    place: list[Ints] = []
    if unread is not None:
        place = [np.where(size > 1, unread[:, model], 0)[:, None] for model, size in enumerate(worth.shape[2:])]
    values = np.stack([action[(rows, *place)] for action in worth])
    return np.asarray(np.argmax((values * weights).sum(axis=2), axis=0), dtype=np.int64)
