"""Playing a solution: the router that the planner found, in the game itself, episode by episode.

The accuracy and cost that it reaches are a lower bound of the optimum, up to sampling error; the rules and the ledger
are those of :mod:`gym_stepwise_routing.rules`, so that the planner's own accounting is checked as well.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gym_stepwise_routing.accounting import Mode
from gym_stepwise_routing.observation import Block
from gym_stepwise_routing.planning.knowledge import Knowledge
from gym_stepwise_routing.planning.program import Program, Solution
from gym_stepwise_routing.rules import Play, Rules
from gym_stepwise_routing.sources.simulator.source import SimulatorSource

__all__ = ["Played", "play_solution"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Played:
    """What a router did in ``n`` episodes: ``right`` is ``bool[n]``, ``cost`` ``float64[n]``, normalised."""

    right: NDArray[np.bool_]
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


def play_solution(
    program: Program,
    solution: Solution,
    knowledge: Knowledge,
    source: SimulatorSource,
    mode: Mode,
    *,
    episodes: int,
    seed: int | tuple[int, ...],
) -> Played:
    """Play a solution that was solved with ``keep_choices``.

    Args:
        program: the game that was solved.
        solution: the solution.
        knowledge: what its router knows.
        source: the simulator; problems are drawn from all its numbers.
        mode: the mode that was solved.
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
    blocks: tuple[Block, ...] = ("verifier",) if program.scoring else ("progress",)
    rules = Rules(source, mode=mode, observation=blocks, cost_unit=program.costs.unit)
    play = rules.start(rng.integers(2**40, size=episodes), rng)
    knowledge.begin(episodes)
    right, cost, number = np.zeros(episodes, np.bool_), np.zeros(episodes), np.arange(episodes)
    for depth in range(source.horizon):
        actions = _decide(program, solution, knowledge, play, depth)
        after = rules.step(play, actions, rng)
        knowledge.learn(play, after, actions, depth)
        right[number], cost[number] = after.trace.correct, rules.cost(after) / program.costs.normaliser
        going = np.flatnonzero(~after.trace.terminal)
        if len(going) == 0:
            break
        play, number = after.take(going), number[going]
        knowledge.keep(going)
    return Played(right, cost)


def _decide(program: Program, solution: Solution, knowledge: Knowledge, play: Play, depth: int) -> Ints:
    points, weights = knowledge.points(play)
    models = program.stop.shape[0]
    unread = program.lattice.nearest(play.account.context - play.account.cached)[:, :models]
    choices = solution.choices[depth]
    if program.kernel.drafts:
        return _best(choices[0], knowledge.rows(play, points), weights, unread)
    if depth == 0:
        return _best(choices[0], points, weights, None)
    actions = np.zeros(len(play), dtype=np.int64)
    for writer, worth in enumerate(choices):
        rows = np.flatnonzero(play.trace.model == writer)
        actions[rows] = _best(worth, points[rows], weights[rows], unread[rows])
    return actions


def _best(worth: NDArray[np.float32], rows: Ints, weights: Floats, unread: Ints | None) -> Ints:
    """Action of greatest interpolated worth, ``worth[action, row, unread...]``."""
    place: list[Ints] = []
    if unread is not None:
        place = [np.where(size > 1, unread[:, model], 0)[:, None] for model, size in enumerate(worth.shape[2:])]
    values = np.stack([action[(rows, *place)] for action in worth])
    return np.asarray(np.argmax((values * weights).sum(axis=2), axis=0), dtype=np.int64)
