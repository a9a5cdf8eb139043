"""Full information: the router knows the level of difficulty, and whether the trace (and the draft) is right.

No router has this information; its optimum is what perfect verification and perfect knowledge of the difficulty would
give. Points are ``level * 2 + wrong``.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gym_stepwise_routing.planning.evidence import STATUS_OF
from gym_stepwise_routing.planning.kernel import DraftMoves, Kernel, Matrix, StepMoves, depth_classes
from gym_stepwise_routing.sources.simulator.process import Process
from gym_stepwise_routing.sources.simulator.score_signals import TOKEN_CELLS
from gym_stepwise_routing.types import Mode

__all__ = ["full_state_kernel"]

Floats = NDArray[np.float64]


def full_state_kernel(process: Process, mode: Mode) -> Kernel:
    """Transitions between hidden states, ``S = 2 * levels`` points."""
    classes, depths = depth_classes(process.flip)
    initial = np.stack([process.shares, np.zeros_like(process.shares)], axis=1).ravel()
    models = range(len(process.scored))
    if mode == "regenerate":
        return Kernel(classes, (), tuple(_draft(process, depth) for depth in depths), initial)
    steps = tuple(
        tuple(_moves(process, model, process.flip[:, model, :, depth].T) for model in models) for depth in depths
    )
    begins = tuple(_afresh(moves) for moves in steps[classes[0]]) if mode == "restart" else ()
    return Kernel(classes, steps, (), initial, begins)


def _afresh(moves: StepMoves) -> StepMoves:
    """The same moves from a trace of the same level that nothing was written of."""
    right = np.arange(len(moves.right)) // 2 * 2
    to = tuple(matrix[right] for matrix in moves.to)
    return StepMoves(moves.model, to, moves.right[right], moves.tokens[right])


def _moves(process: Process, model: int, flip: Floats) -> StepMoves:
    """Moves of a step that flips the trace with chance ``flip[level, wrong]``."""
    levels = len(process.shares)
    to, right, tokens = np.zeros((TOKEN_CELLS, 2 * levels, 2 * levels)), np.zeros(2 * levels), np.zeros(2 * levels)
    for level in range(levels):
        for wrong in (0, 1):
            at = 2 * level + wrong
            for flips, chance in enumerate((1 - flip[level, wrong], flip[level, wrong])):
                status, now = STATUS_OF[wrong, flips], wrong ^ flips
                to[:, at, 2 * level + now] += chance * process.cells[model, level, status]
                right[at] += chance * (process.recovery[level] if now else 1.0)
                tokens[at] += chance * process.mean_tokens[model, level, status]
    return StepMoves(model, _sparse(to), right, tokens)


def _draft(process: Process, depth: int) -> DraftMoves:
    """Rows are ``(point, draft flips, cell of its length)``."""
    levels, large = len(process.shares), range(1, len(process.scored))
    level, wrong, flips, cell = (
        part.ravel() for part in np.meshgrid(range(levels), (0, 1), (0, 1), range(TOKEN_CELLS), indexing="ij")
    )
    point, status = 2 * level + wrong, STATUS_OF[wrong, flips]
    flip = process.flip[wrong, 0, level, depth]
    chance = np.where(flips, flip, 1 - flip) * process.cells[0, level, status, cell]
    rows, now = np.arange(len(point)), wrong ^ flips
    keep = np.zeros((TOKEN_CELLS, len(point), 2 * levels))
    keep[cell, rows, 2 * level + now] = chance
    goal = np.where(now, process.recovery[level], 1.0)
    lengths = process.mean_tokens[0, level, status]
    rewrite = []
    for model in large:
        again = process.rewrite_flip(model, depth)[wrong, level, flips]
        to = np.zeros((TOKEN_CELLS, len(point), 2 * levels))
        right, tokens = np.zeros(len(point)), np.zeros(len(point))
        for turned, share in enumerate((chance * (1 - again), chance * again)):
            written, after = STATUS_OF[wrong, turned], wrong ^ turned
            to[:, rows, 2 * level + after] += share * process.cells[model, level, written].T
            right += share * np.where(after, process.recovery[level], 1.0)
            tokens += share * process.mean_tokens[model, level, written]
        rewrite.append(StepMoves(model, _sparse(to), right, tokens))
    return DraftMoves(
        point=point,
        cell=cell,
        tokens=np.bincount(point, chance * lengths).astype(np.float64),
        chance=chance,
        keep=StepMoves(0, _sparse(keep), chance * goal, chance * lengths),
        rewrite=tuple(rewrite),
    )


def _sparse(to: Floats) -> tuple[Matrix, ...]:
    from scipy.sparse import csr_array

    return tuple(csr_array(matrix) for matrix in to)
