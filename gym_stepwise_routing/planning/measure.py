"""What the router of a grid of beliefs reaches, to a hundredth of a point from a few hundred episodes.

The values that a grid promises are exact but for interpolation. So what its router reaches is the promise, plus what is
found of it on the way: at every belief that an episode comes to, the mean over all that may happen next of the reward
and the value of the next point, minus the interpolated value of the belief itself. These differences telescope to the
router's own value, and are as small as the error of interpolation, while the accuracy of a single episode is 0 or 1.
(Expected Bellman residuals, as a martingale control variate: Henderson and Glynn, 2002.)
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gym_stepwise_routing.game.transitions import Rules
from gym_stepwise_routing.planning.knowledge import BeliefKnowledge
from gym_stepwise_routing.planning.play import Played, Turn, best_actions, turns
from gym_stepwise_routing.planning.program import Program, Solution

__all__ = ["measure_solution"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def measure_solution(
    program: Program,
    solution: Solution,
    knowledge: BeliefKnowledge,
    rules: Rules,
    *,
    episodes: int,
    seed: int | tuple[int, ...],
) -> Played:
    """Unbiased estimates of what :func:`.play.play_solution` reaches, one an episode.

    Nobody pays for reading (the lattice has one point). Arguments as :func:`.play.turns`.
    """
    reached = np.repeat([[solution.accuracy], [solution.cost]], episodes, axis=1)
    found = _drafting if program.kernel.drafts else _stepping
    for turn in turns(program, solution, knowledge, rules, episodes=episodes, seed=seed):
        if turn.depth > 0:  # the kernel has the belief before the first step itself
            reached[:, turn.number] += found(program, solution, knowledge, turn)
    return Played(reached[0], reached[1])


def _ahead(solution: Solution, depth: int, writer: int) -> Floats | None:
    """Values after the step at ``depth``, which ``writer`` has written; None if it is the last."""
    return solution.values[depth + 1][writer] if depth + 1 < len(solution.values) else None


def _stepping(program: Program, solution: Solution, knowledge: BeliefKnowledge, turn: Turn) -> Floats:
    """What is found at each belief, ``[2, B]``: accuracy and cost, beyond its interpolated value."""
    promised = np.stack([values.reshape(2, -1) for values in solution.values[turn.depth]])
    there = promised[turn.before.trace.model[:, None], :, turn.points]  # [B, V, 2]
    found: Floats = -np.einsum("bvt,bv->tb", there, turn.weights)
    for model in np.unique(turn.actions).tolist():
        rows = np.flatnonzero(turn.actions == model)
        moves = knowledge.moves.step(model, knowledge.group[rows], knowledge.belief[rows], turn.depth)
        ahead = program.ahead(moves, turn.depth, _ahead(solution, turn.depth, model))
        found[:, rows] += program.called(ahead, model, model).reshape(2, -1)
    return found


def _drafting(program: Program, solution: Solution, knowledge: BeliefKnowledge, turn: Turn) -> Floats:
    """The same over all drafts that might have been written, ``[2, B]``."""
    moves, depth = knowledge.moves, turn.depth
    drafts = moves.drafts(knowledge.group, knowledge.belief, depth)
    size, observations = drafts.shape[:2]
    outcomes, group = drafts.reshape(-1, *drafts.shape[2:]), np.repeat(knowledge.group, observations)
    seen = np.tile(np.arange(observations), size)
    actions = best_actions(
        solution.choices[depth][0],
        np.repeat(turn.points, observations, axis=0) * observations + seen[:, None],
        np.repeat(turn.weights, observations, axis=0),
        np.zeros((len(seen), len(program.stop)), dtype=np.int64),
    )
    after, ends = _ahead(solution, depth, 0), np.zeros((2, len(seen)))
    for model in np.unique(actions).tolist():
        rows = np.flatnonzero(actions == model)
        if model == 0:
            found = program.kept(moves.keep(group[rows], seen[rows], outcomes[rows]), depth, after)
        else:
            chance = outcomes[rows].sum(axis=(1, 2, 3))
            found = program.rewritten(moves.rewrite(model, group[rows], outcomes[rows], depth), chance, depth, after)
        ends[:, rows] = found.reshape(2, -1)
    sums: Floats = ends.reshape(2, size, observations).sum(axis=2)
    sums[1] += program.drafted(moves.draft_tokens(knowledge.belief, depth)).ravel()
    promised = solution.values[depth][0].reshape(2, -1)
    sums -= (promised[:, turn.points] * turn.weights).sum(axis=2)
    return sums
