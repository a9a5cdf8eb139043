"""The router's real information: beliefs over the hidden state, on a grid, which gives upper bounds of its optimum.

Points are ``group * (N + 1) + n``: group of the least score so far, and point of the grid; the last, ``n = N``, is the
belief before the first step.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from gym_stepwise_routing.accounting import Mode
from gym_stepwise_routing.planning.belief_grid import BeliefGrid
from gym_stepwise_routing.planning.evidence import (
    STATUS_OF,
    Evidence,
    beliefs_after,
    by_status,
    outcomes_of,
    rewritten,
)
from gym_stepwise_routing.planning.kernel import DraftMoves, Kernel, Matrix, StepMoves, depth_classes
from gym_stepwise_routing.sources.simulator.signals import TOKEN_CELLS

__all__ = ["BeliefPoints", "belief_kernel"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
_CHUNK = 2_000_000
"""Entries that are worked on at a time."""


@dataclass(frozen=True, slots=True, eq=False)
class BeliefPoints:
    """Where beliefs lie among the points of :func:`belief_kernel`."""

    grid: BeliefGrid
    groups: int
    prior: Floats

    def __len__(self) -> int:
        return self.groups * (len(self.grid) + 1)

    @property
    def beliefs(self) -> Floats:
        """``float64[N + 1, n]`` belief at each point of a group."""
        return np.concatenate([self.grid.points, self.prior[None]])

    def locate(self, group: Ints, beliefs: Floats) -> tuple[Ints, Floats]:
        """Points and weights, ``int64[B, n]`` and ``float64[B, n]``, of beliefs that need not add up to 1.

        The weights add up to what the belief does.
        """
        mass = beliefs.sum(axis=1, keepdims=True)
        points, weights = self.grid.locate(beliefs / np.where(mass > 0, mass, 1))
        return points + group[:, None] * (len(self.grid) + 1), weights * mass


def belief_kernel(evidence: Evidence, mode: Mode, resolution: int) -> tuple[Kernel, BeliefPoints]:
    """Transitions between beliefs, for a router that sees what ``evidence`` says.

    Args:
        evidence: what the router sees.
        mode: ``route``, ``escalate`` or ``regenerate``.
        resolution: of the grid; the bound tightens with it, the work grows with its ``2 * levels - 1``-th power.
    """
    process = evidence.source.process
    prior = np.stack([process.shares, np.zeros_like(process.shares)], axis=1).ravel()
    points = BeliefPoints(BeliefGrid(len(prior), resolution), evidence.groups, prior)
    classes, depths = depth_classes(process.flip)
    initial = np.zeros(len(points))
    initial[-1] = 1.0
    if mode == "regenerate":
        return Kernel(classes, (), tuple(_draft(evidence, points, depth) for depth in depths), initial), points
    models = range(len(process.scored))
    steps = tuple(tuple(_moves(evidence, points, model, depth) for model in models) for depth in depths)
    return Kernel(classes, steps, (), initial), points


def _moves(evidence: Evidence, points: BeliefPoints, model: int, depth: int) -> StepMoves:
    flip = evidence.source.process.flip[:, model, :, depth]
    statuses = by_status(outcomes_of(points.beliefs, flip))
    parts = [_written(evidence, points, model, group, statuses) for group in range(points.groups)]
    return _stacked(model, parts)


def _draft(evidence: Evidence, points: BeliefPoints, depth: int) -> DraftMoves:
    """Rows are ``point * O + o`` for the ``O`` observations of a draft."""
    process = evidence.source.process
    outcomes = outcomes_of(points.beliefs, process.flip[:, 0, :, depth])
    larger = range(1, len(process.scored))
    chance, kept = [], []
    rewrites: list[list[StepMoves]] = [[] for _ in larger]
    for group in range(points.groups):
        seen = evidence.likelihood[0][group][:, STATUS_OF, :]  # [L, wrong, flips, O]
        joint = np.einsum("plwf,lwfo->polwf", outcomes, seen)
        rows = joint.reshape(-1, *joint.shape[2:])
        chance.append(rows.sum(axis=(1, 2, 3)))
        kept.append(_kept(evidence, points, group, rows))
        for model, parts in zip(larger, rewrites, strict=True):
            statuses = rewritten(rows, process.rewrite_flip(model, depth))
            parts.append(_written(evidence, points, model, group, statuses))
    observations = evidence.likelihood[0].shape[3]
    tokens = np.tile((by_status(outcomes) * process.mean_tokens[0]).sum(axis=(1, 2)), points.groups)
    return DraftMoves(
        point=np.repeat(np.arange(len(points)), observations),
        cell=np.tile(evidence.cell[0], len(points)),
        tokens=tokens,
        chance=np.concatenate(chance),
        keep=_stacked(0, kept),
        rewrite=tuple(_stacked(model, parts) for model, parts in zip(larger, rewrites, strict=True)),
    )


def _kept(evidence: Evidence, points: BeliefPoints, group: int, rows: Floats) -> StepMoves:
    """Moves of drafts that are kept; rows are ``[R, L, wrong, flips]``, observations in turn."""
    statuses = by_status(rows)
    groups = np.tile(evidence.group[0][group], len(rows) // len(evidence.cell[0]))
    located = points.locate(groups, beliefs_after(statuses))
    right, tokens = _ends(evidence, 0, statuses)
    return StepMoves(0, (_matrix(*located, len(points)),), right, tokens)


def _written(evidence: Evidence, points: BeliefPoints, model: int, group: int, statuses: Floats) -> StepMoves:
    """Moves of steps that ``model`` writes, with chances ``statuses[R, L, status]``; what it shows is seen."""
    likelihood, cells = evidence.likelihood[model][group], evidence.cell[model]
    matrices: list[list[Matrix]] = [[] for _ in range(TOKEN_CELLS)]
    size = max(1, _CHUNK // (len(cells) * points.grid.states))
    for start in range(0, len(statuses), size):
        part = statuses[start : start + size]
        for cell in range(TOKEN_CELLS):
            seen = np.flatnonzero(cells == cell)
            after = beliefs_after(np.einsum("rls,lso->rols", part, likelihood[:, :, seen]))
            groups = np.tile(evidence.group[model][group, seen], len(part))
            located = points.locate(groups, after.reshape(len(groups), -1))
            matrices[cell].append(_matrix(*located, len(points), len(seen)))
    right, tokens = _ends(evidence, model, statuses)
    return StepMoves(model, tuple(_vstack(parts) for parts in matrices), right, tokens)


def _ends(evidence: Evidence, model: int, statuses: Floats) -> tuple[Floats, Floats]:
    """Chance of a right answer if the trace ends here, and mean length, both times the chance of the row."""
    process = evidence.source.process
    after = beliefs_after(statuses)
    goal = np.stack([np.ones_like(process.recovery), process.recovery], axis=1).ravel()
    return after @ goal, (statuses * process.mean_tokens[model]).sum(axis=(1, 2))


def _matrix(points: Ints, weights: Floats, columns: int, together: int = 1) -> Matrix:
    """Sparse matrix whose row r has ``weights`` of ``together`` successive entries."""
    from scipy.sparse import csr_array

    rows = len(points) // together
    starts = np.arange(rows + 1) * together * points.shape[1]
    matrix: Any = csr_array((weights.ravel(), points.ravel().astype(np.int32), starts), shape=(rows, columns))
    matrix.sum_duplicates()
    matrix.eliminate_zeros()
    return cast(Matrix, matrix)


def _vstack(parts: list[Matrix]) -> Matrix:
    from scipy.sparse import vstack

    stacked: Any = parts[0] if len(parts) == 1 else vstack(parts, format="csr")
    return cast(Matrix, stacked)


def _stacked(model: int, parts: list[StepMoves]) -> StepMoves:
    """Moves of all groups, one after the other."""
    return StepMoves(
        model=model,
        to=tuple(_vstack(list(matrices)) for matrices in zip(*(part.to for part in parts), strict=True)),
        right=np.concatenate([part.right for part in parts]),
        tokens=np.concatenate([part.tokens for part in parts]),
    )
