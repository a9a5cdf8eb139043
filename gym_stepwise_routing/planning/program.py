"""Dynamic programming over the points of a kernel, the depth and the unread tokens.

In *restart* the depth is that of the present attempt. Its writer has read everything, and a larger model reads the
prompt alone, so that there are no unread tokens.

At a Lagrange multiplier it finds the best ``accuracy - multiplier x cost``. Accuracy and cost are carried along
separately, so that one run gives a point of the frontier.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gym_stepwise_routing.planning.cost_tables import StepCosts
from gym_stepwise_routing.planning.kernel import Kernel, Matrix, StepMoves
from gym_stepwise_routing.planning.lattice import Lattice

__all__ = ["Program", "Solution"]

Floats = NDArray[np.float64]
_NEVER = -1e9
"""Worth of a forbidden action; finite, so that it can be weighted."""
_Kept = list[tuple[tuple[NDArray[np.float32], ...], tuple[Floats, ...]]]
"""Values of the actions and of the points, from the last depth to the first."""


@dataclass(frozen=True, slots=True, eq=False)
class Solution:
    """The optimum at a multiplier.

    Attributes:
        multiplier: price of one unit of normalised cost, in accuracy.
        accuracy: of the best router (a bound, see :mod:`.lattice` and :mod:`.belief`).
        cost: its normalised cost, likewise.
        choices: values of the actions by depth, for :mod:`.play`: per last writer (at depth 0 there is none),
            ``float32[model, S, unread...]``. *Regenerate*: one array ``float32[action, R, unread...]``.
        values: accuracy and cost to come by depth, for :mod:`.measure`: ``float64[2, S, unread...]``, per last writer
            (at depth 0 none), else one array.
    """

    multiplier: float
    accuracy: float
    cost: float
    choices: tuple[tuple[NDArray[np.float32], ...], ...] = ()
    values: tuple[tuple[Floats, ...], ...] = ()

    @property
    def value(self) -> float:
        """``accuracy - multiplier x cost``."""
        return self.accuracy - self.multiplier * self.cost


@dataclass(frozen=True, slots=True, eq=False)
class Program:
    """A game, ready to be solved at any multiplier.

    Attributes:
        kernel: its transitions.
        costs: its costs.
        lattice: its unread tokens.
        stop: ``float64[K, H]`` chance that a step is the last.
        escalate: smaller models may not write after larger ones.
        scoring: the verifier reads every step before the next decision (*regenerate*: every draft), and is paid.
    """

    kernel: Kernel
    costs: StepCosts
    lattice: Lattice
    stop: Floats
    escalate: bool
    scoring: bool

    def solve(self, multiplier: float, *, keep_choices: bool = False) -> Solution:
        """The optimum at a multiplier.

        Args:
            multiplier: a finite number >= 0.
            keep_choices: keep the values of all actions and points, which :mod:`.play` and :mod:`.measure` need.

        Raises:
            ValueError: a negative or infinite multiplier.
        """
        if not (math.isfinite(multiplier) and multiplier >= 0):
            raise ValueError(f"multiplier={multiplier!r}; allowed: a finite number >= 0")
        kept: _Kept | None = [] if keep_choices else None
        play = self._drafts if self.kernel.drafts else self._attempts if self.kernel.begins else self._steps
        best = play(multiplier, kept)
        return Solution(
            multiplier=multiplier,
            accuracy=float(best[0]),
            cost=float(best[1]),
            choices=tuple(choices for choices, _ in reversed(kept or [])),
            values=tuple(values for _, values in reversed(kept or [])),
        )

    # Values are arrays [2, S, unread tokens of model 0, ...]: accuracy and cost to come. The axis of a model that has
    # read everything, or that will never be called again, or that reads for nothing, has length 1.

    def _axes(self, writer: int) -> tuple[int, ...]:
        """Axes of the models whose unread tokens matter after ``writer`` has written."""
        if self.lattice.size == 1:
            return ()
        # in regenerate, the smallest model reads everything before each draft
        first = 1 if self.kernel.drafts else writer if self.escalate else 0
        return tuple(m + 2 for m in range(first, len(self.stop)) if m != writer and self.costs.prefill[m] > 0)

    def _shape(self, writer: int, points: int) -> tuple[int, ...]:
        axes = self._axes(writer)
        return (2, points, *(self.lattice.size if m + 2 in axes else 1 for m in range(len(self.stop))))

    def ahead(self, moves: StepMoves, depth: int, after: Floats | None) -> Floats:
        """Values right after a decision for ``moves``, but for the call and its reading: ``[2, rows, unread...]``."""
        stop = self.stop[moves.model, depth]
        extra = (slice(None), *(None,) * len(self.stop))
        spent = self.costs.decode[moves.model] * moves.tokens
        if self.scoring and not self.kernel.drafts:
            spent = spent + (1 - stop) * (self.costs.verify * moves.tokens + self.costs.verify_call)
        ahead = np.stack([stop * moves.right[extra], spent[extra]])
        if after is None:
            return ahead
        axes = self._axes(moves.model)
        if after.shape[moves.model + 2] > 1:  # regenerate: who rewrites has read everything
            after = after.take([0], axis=moves.model + 2)
        for cell, matrix in enumerate(moves.to):
            if matrix.nnz:
                values = self.lattice.after(after, moves.model, cell, axes)
                ahead = ahead + (1 - stop) * _moved(matrix, values)
        return ahead

    def _reading(self, model: int, axis_tokens: Floats) -> Floats:
        """Cost of a call of ``model`` with so many unread tokens along its axis."""
        shape = [1] * len(self.stop)
        shape[model] = len(axis_tokens)
        reading: Floats = self.costs.call[model] + self.costs.prefill[model] * axis_tokens
        return reading.reshape(1, *shape)

    def _steps(self, multiplier: float, kept: _Kept | None) -> Floats:
        models = range(len(self.stop))
        values: list[Floats | None] = [None] * len(models)
        for depth in range(self.stop.shape[1] - 1, -1, -1):
            moves = self.kernel.steps[self.kernel.depth_class[depth]]
            ahead = [self.ahead(moves[model], depth, values[model]) for model in models]
            if depth == 0:
                return self._first(ahead, multiplier, kept)
            new: list[Floats] = []
            choices = []
            for writer in models:
                allowed = [model for model in models if not (self.escalate and model < writer)]
                options = [self.called(ahead[model], model, writer) for model in allowed]
                worth = np.stack([option[0] - multiplier * option[1] for option in options])
                new.append(_chosen(options, worth))
                forbidden = np.full((writer if self.escalate else 0, *worth.shape[1:]), _NEVER)
                choices.append(np.concatenate([forbidden, worth]).astype(np.float32))
            values = list(new)
            if kept is not None:
                kept.append((tuple(choices), tuple(new)))
        raise AssertionError("depth 0 returns")

    def _attempts(self, multiplier: float, kept: _Kept | None) -> Floats:
        """Mode *restart*, from the largest model's attempt down: who works on may hand over to any larger one."""
        horizon = self.stop.shape[1]
        tables: list[list[tuple[Floats, Floats]]] = [[] for _ in range(1, horizon)]
        first: list[Floats] = []
        begun: list[Floats] = []
        for model in reversed(range(len(self.stop))):
            after: Floats | None = None
            for depth in range(horizon - 1, 0, -1):
                moves = self.kernel.steps[self.kernel.depth_class[depth]][model]
                options = [self.called(self.ahead(moves, depth, after), model, model), *begun]
                worth = np.stack([option[0] - multiplier * option[1] for option in options])
                after = _chosen(options, worth)
                forbidden = np.full((model, *worth.shape[1:]), _NEVER)
                tables[depth - 1].insert(0, (np.concatenate([forbidden, worth]), after))
            first.insert(0, self.ahead(self.kernel.steps[self.kernel.depth_class[0]][model], 0, after))
            begun.insert(0, self._begun(self.ahead(self.kernel.begins[model], 0, after), model))
        if kept is not None:
            for table in reversed(tables):
                kept.append((tuple(worth.astype(np.float32) for worth, _ in table), tuple(value for _, value in table)))
        return self._first(first, multiplier, kept)

    def _begun(self, ahead: Floats, model: int) -> Floats:
        """Values of calling ``model`` where it has read nothing but what all prompts share."""
        option = ahead.copy()
        option[1] += self.costs.call[model] + self.costs.prefill[model] * self.costs.prompt[model]
        if self.scoring:  # the verifier reads the prompt with the first step, unless that is the last one
            option[1] += (1 - self.stop[model, 0]) * self.costs.verify * self.costs.prompt[-1]
        return option

    def called(self, ahead: Floats, model: int, writer: int) -> Floats:
        """Values of calling ``model`` after ``writer`` has written, over the unread tokens of ``writer``'s state."""
        shape = self._shape(writer, ahead.shape[1])
        option = ahead if writer == model or ahead.shape[writer + 2] == 1 else ahead.take([0], axis=writer + 2)
        option = np.broadcast_to(option, shape).copy()
        unread = self.lattice.points if shape[model + 2] > 1 else np.zeros(1)
        option[1] += self._reading(model, unread)
        return option

    def _first(self, ahead: list[Floats], multiplier: float, kept: _Kept | None) -> Floats:
        options = []
        for model, values in enumerate(ahead):
            option = values
            for other in range(len(self.stop)):
                if other != model:
                    option = self.lattice.at(option, self.costs.prompt[other], other + 2)
            options.append(self._begun(option.reshape(2, -1), model))
        worth = np.stack([option[0] - multiplier * option[1] for option in options])
        if kept is not None:
            kept.append(((worth.astype(np.float32),), ()))
        return np.asarray(_chosen(options, worth) @ self.kernel.initial)

    def _drafts(self, multiplier: float, kept: _Kept | None) -> Floats:
        values: Floats | None = None
        for depth in range(self.stop.shape[1] - 1, -1, -1):
            draft = self.kernel.drafts[self.kernel.depth_class[depth]]
            options = [self.rewritten(moves, draft.chance, depth, values) for moves in draft.rewrite]
            best, worth = self._best_of_drafts(self.kept(draft.keep, depth, values), options, draft.cell, multiplier)
            values = np.add.reduceat(best, _starts(draft.point), axis=1)
            values[1] += self.drafted(draft.tokens)
            if kept is not None:
                kept.append(((worth.astype(np.float32),), (values,)))
        assert values is not None
        for model in range(1, len(self.stop)):
            values = self.lattice.at(values, self.costs.prompt[model], model + 2)
        start = values.reshape(2, -1) @ self.kernel.initial
        start[1] += self.costs.prefill[0] * self.costs.prompt[0]
        if self.scoring:
            start[1] += self.costs.verify * self.costs.prompt[-1]
        return start

    def drafted(self, tokens: Floats) -> Floats:
        """Cost of drafts of these mean lengths, ``[S, 1...]``, but for the reading."""
        fixed = self.costs.call[0] + self.costs.decode[0] * tokens
        if self.scoring:
            fixed = fixed + self.costs.verify_call + self.costs.verify * tokens
        return np.asarray(fixed.reshape(-1, *(1,) * len(self.stop)))

    def kept(self, moves: StepMoves, depth: int, after: Floats | None) -> Floats:
        """Values of keeping each draft, by the unread tokens *after* it; its own tokens have been paid."""
        stop = self.stop[0, depth]
        shape = (2, len(moves.right), *self._shape(0, 1)[2:])
        kept = np.zeros(shape)
        kept[0] = stop * moves.right.reshape(-1, *(1,) * len(self.stop))
        if after is not None:
            for matrix in moves.to:
                kept += (1 - stop) * _moved(matrix, after)
        return kept

    def rewritten(self, moves: StepMoves, chance: Floats, depth: int, after: Floats | None) -> Floats:
        """Values of rewriting each draft, times the chance of its row, ``[R]``."""
        ahead, chance = self.ahead(moves, depth, after), chance.reshape(-1, *(1,) * len(self.stop))
        option = np.broadcast_to(ahead, (2, len(chance), *self._shape(0, 1)[2:])).copy()
        unread = self.lattice.points if option.shape[moves.model + 2] > 1 else np.zeros(1)
        option[1] += chance * self._reading(moves.model, unread)
        # the smallest model reads the rewritten step before its next draft, and so does the verifier
        again = self.costs.prefill[0] + (self.costs.verify if self.scoring else 0.0)
        option[1] += (1 - self.stop[moves.model, depth]) * again * moves.tokens.reshape(chance.shape)
        return option

    def _best_of_drafts(
        self, kept: Floats, options: list[Floats], cell: NDArray[np.int64], multiplier: float
    ) -> tuple[Floats, Floats]:
        """Values of the better of keeping and rewriting, the draft's length being known; and the values of both."""
        axes = self._axes(0)
        best, mean_kept = np.zeros_like(kept), np.zeros_like(kept)
        for c in np.unique(cell):
            rows = np.flatnonzero(cell == c)
            others = [option[:, rows] for option in options]
            for number, chance in enumerate(self.lattice.steps[0][c]):
                if chance > 0:
                    moved = kept[:, rows]
                    for axis in axes:
                        moved = moved.take(
                            np.minimum(np.arange(self.lattice.size) + number, self.lattice.size - 1), axis
                        )
                    worth = np.stack([option[0] - multiplier * option[1] for option in (moved, *others)])
                    best[:, rows] += chance * _chosen([moved, *others], worth)
                    mean_kept[:, rows] += chance * moved
        return best, np.stack([option[0] - multiplier * option[1] for option in (mean_kept, *options)])


def _moved(matrix: Matrix, values: Floats) -> Floats:
    """Means of ``values[2, S', ...]`` over the next points of each row, ``[2, R, ...]``."""
    columns = np.ascontiguousarray(np.moveaxis(values, 0, -1)).reshape(values.shape[1], -1)
    return np.moveaxis((matrix @ columns).reshape(-1, *values.shape[2:], 2), -1, 0)


def _starts(point: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.flatnonzero(np.diff(point, prepend=-1))


def _chosen(options: list[Floats], worth: Floats) -> Floats:
    """The option of greatest worth, element by element; ties go to the first, the smaller model."""
    best = options[0].copy()
    top = worth[0].copy()
    for option, value in zip(options[1:], worth[1:], strict=True):
        better = value > top
        np.copyto(best, option, where=better)
        top = np.where(better, value, top)
    return best
