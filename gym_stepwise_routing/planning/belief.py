"""The router's real information: beliefs over the hidden state, on a grid, which gives upper bounds of its optimum.

Points are ``group * N + n``: group of the least score so far, and point of the grid. At depth 0 there is one point
alone, the belief before the first step, which need not be on the grid.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from gym_stepwise_routing.planning.belief_grid import BeliefGrid
from gym_stepwise_routing.planning.evidence import (
    STATUS_OF,
    Evidence,
    begun_afresh,
    beliefs_after,
    by_status,
    outcomes_of,
    rewritten,
)
from gym_stepwise_routing.planning.kernel import DraftMoves, Kernel, Matrix, StepMoves, depth_classes
from gym_stepwise_routing.sources.simulator.score_signals import TOKEN_CELLS
from gym_stepwise_routing.types import Mode

__all__ = ["BeliefMoves", "BeliefPoints", "belief_kernel"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
_CHUNK = 20_000
"""Entries that are worked on at a time: few enough for the processor's cache."""


@dataclass(frozen=True, slots=True, eq=False)
class BeliefPoints:
    """Where beliefs lie among the points of :func:`belief_kernel`."""

    grid: BeliefGrid
    groups: int

    def __len__(self) -> int:
        return self.groups * len(self.grid)

    def locate(self, group: Ints, beliefs: Floats) -> tuple[Ints, Floats]:
        """Points and weights, ``int64[B, n]`` and ``float64[B, n]``, of beliefs that need not add up to 1.

        The weights add up to what the belief does.
        """
        mass = beliefs.sum(axis=1, keepdims=True)
        points, weights = self.grid.locate(beliefs / np.where(mass > 0, mass, 1))
        return points + group[:, None] * len(self.grid), weights * mass


@dataclass(frozen=True, slots=True, eq=False)
class BeliefMoves:
    """Moves from any beliefs to points of the grid. ``B`` beliefs, ``O`` observations of a draft, ``n`` hidden states.

    Attributes:
        evidence: what the router sees.
        points: where the moves lead to.
        by_length: whether they are told apart by the cell of the step's length, as unread tokens need it.
    """

    evidence: Evidence
    points: BeliefPoints
    by_length: bool

    def step(self, model: int, group: Ints, beliefs: Floats, depth: int) -> StepMoves:
        """Moves of a step that ``model`` writes, from beliefs ``float64[B, n]`` and groups ``int64[B]``."""
        flip = self.evidence.source.process.flip[:, model, :, depth]
        return self._written(model, group, by_status(outcomes_of(beliefs, flip)))

    def draft(self, group: Ints, beliefs: Floats, depth: int) -> DraftMoves:
        """A draft and what may become of it; rows are ``belief * O + observation``."""
        drafts = self.drafts(group, beliefs, depth)
        observations = drafts.shape[1]
        rows, groups = drafts.reshape(-1, *drafts.shape[2:]), np.repeat(group, observations)
        seen = np.tile(np.arange(observations), len(beliefs))
        return DraftMoves(
            point=np.repeat(np.arange(len(beliefs)), observations),
            cell=self.evidence.cell[0][seen],
            tokens=self.draft_tokens(beliefs, depth),
            chance=rows.sum(axis=(1, 2, 3)),
            keep=self.keep(groups, seen, rows),
            rewrite=tuple(
                self.rewrite(model, groups, rows, depth) for model in range(1, len(self.evidence.source.pool))
            ),
        )

    def drafts(self, group: Ints, beliefs: Floats, depth: int) -> Floats:
        """Chance of each hidden draft and of what it shows, ``[B, O, L, 2, 2]``: level, wrong before, flipped."""
        outcomes = outcomes_of(beliefs, self.evidence.source.process.flip[:, 0, :, depth])
        seen = self.evidence.likelihood[0][:, :, STATUS_OF][group]  # [B, L, wrong, flips, O]
        joint: Floats = np.einsum("blwf,blwfo->bolwf", outcomes, seen)
        return joint

    def draft_tokens(self, beliefs: Floats, depth: int) -> Floats:
        """Mean length of a draft, ``[B]``."""
        process = self.evidence.source.process
        statuses = by_status(outcomes_of(beliefs, process.flip[:, 0, :, depth]))
        tokens: Floats = (statuses * process.mean_tokens[0]).sum(axis=(1, 2))
        return tokens

    def keep(self, group: Ints, seen: Ints, rows: Floats) -> StepMoves:
        """Moves of drafts ``[R, L, 2, 2]`` that are kept, each of which has shown the observation ``seen``."""
        statuses = by_status(rows)
        located = self.points.locate(self.evidence.group[0][group, seen], beliefs_after(statuses))
        return StepMoves(0, (_matrix(*located, len(self.points)),), *self._ends(0, statuses))

    def rewrite(self, model: int, group: Ints, rows: Floats, depth: int) -> StepMoves:
        """Moves of the steps that ``model`` writes instead of drafts ``[R, L, 2, 2]``."""
        again = self.evidence.source.process.rewrite_flip(model, depth)
        return self._written(model, group, rewritten(rows, again))

    def _written(self, model: int, group: Ints, statuses: Floats) -> StepMoves:
        """Moves of steps that ``model`` writes, with chances ``statuses[R, L, status]``; what it shows is seen."""
        cells = self.evidence.cell[model]
        parts = [np.flatnonzero(cells == c) for c in range(TOKEN_CELLS)] if self.by_length else [np.arange(len(cells))]
        matrices: list[list[Matrix]] = [[] for _ in parts]
        size = max(1, _CHUNK // (len(cells) * self.points.grid.states))
        for start in range(0, len(statuses), size):
            rows = slice(start, start + size)
            likelihood = self.evidence.likelihood[model][group[rows]]
            after = beliefs_after(np.einsum("rls,rlso->rols", statuses[rows], likelihood))
            groups = self.evidence.group[model][group[rows]]
            for seen, found in zip(parts, matrices, strict=True):
                beliefs = after[:, seen].reshape(-1, self.points.grid.states)
                located = self.points.locate(groups[:, seen].ravel(), beliefs)
                found.append(_matrix(*located, len(self.points), len(seen)))
        return StepMoves(model, tuple(_vstack(found) for found in matrices), *self._ends(model, statuses))

    def _ends(self, model: int, statuses: Floats) -> tuple[Floats, Floats]:
        """Chance of a right answer if the trace ends here, and mean length, both times the chance of the row."""
        process = self.evidence.source.process
        goal = np.stack([np.ones_like(process.recovery), process.recovery], axis=1).ravel()
        return beliefs_after(statuses) @ goal, (statuses * process.mean_tokens[model]).sum(axis=(1, 2))


def belief_kernel(evidence: Evidence, mode: Mode, resolution: int, *, by_length: bool) -> tuple[Kernel, BeliefMoves]:
    """Transitions between beliefs, for a router that sees what ``evidence`` says.

    Args:
        evidence: what the router sees.
        mode: what an action means.
        resolution: of the grid; the bound tightens with it, the work grows with its ``2 * levels - 1``-th power.
        by_length: see :class:`BeliefMoves`.
    """
    process = evidence.source.process
    grid = BeliefGrid(2 * len(process.shares), resolution)
    moves = BeliefMoves(evidence, BeliefPoints(grid, evidence.groups), by_length)
    everywhere = np.repeat(np.arange(evidence.groups), len(grid)), np.tile(grid.points, (evidence.groups, 1))
    later, depths = depth_classes(process.flip[..., 1:])
    places = [((np.array([evidence.groups - 1]), evidence.prior[None]), 0)]
    places += [(everywhere, depth + 1) for depth in depths]
    classes, initial = np.concatenate([[0], later + 1]), np.ones(1)
    if mode == "regenerate":
        return Kernel(classes, (), tuple(moves.draft(*where, depth) for where, depth in places), initial), moves
    models = range(len(process.scored))
    steps = tuple(tuple(moves.step(model, *where, depth) for model in models) for where, depth in places)
    begins: tuple[StepMoves, ...] = ()
    if mode == "restart":
        unseen = np.full(len(everywhere[0]), evidence.groups - 1)
        begins = tuple(moves.step(model, unseen, begun_afresh(everywhere[1]), 0) for model in models)
    return Kernel(classes, steps, (), initial, begins), moves


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
