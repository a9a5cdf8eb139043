"""Unread tokens on a lattice: bounds instead of approximations.

A model that is called reads what was written since its own last step. How much that is belongs to the state of the
planner. The optimal value is convex and falling in it (it is a maximum of linear functions of it), so that

- replacing a step's length by a random multiple of the spacing with the same mean, given the length, can only raise the
  value: an *upper* bound;
- replacing groups of lengths by their mean can only lower it, because it is what a router achieves that sees the group
  instead of the length: a *lower* bound, if the means are multiples of the spacing (a last group, whose mean is not, is
  rounded up, which lowers the value further).

Both are dynamic programs on the lattice that differ in the distribution of a step's length alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from gym_stepwise_routing.errors import check_choice
from gym_stepwise_routing.sources.simulator.process import CORRECT, Process
from gym_stepwise_routing.sources.simulator.score_signals import TOKEN_CELLS

__all__ = ["BOUNDS", "Bound", "Lattice"]

Floats = NDArray[np.float64]
Bound = Literal["lower", "upper"]
BOUNDS: tuple[Bound, ...] = ("lower", "upper")
_TAIL = 1e-9


@dataclass(frozen=True, slots=True, eq=False)
class Lattice:
    """Multiples of ``spacing`` tokens, up to ``(size - 1) * spacing``; with ``size`` 1, unread tokens are not tracked.

    Attributes:
        spacing: tokens.
        size: points.
        bound: which bound the lengths give.
        steps: per model and cell of lengths, the chance of each number of spacings, ``float64[n]``.
    """

    spacing: int
    size: int
    bound: Bound
    steps: tuple[tuple[Floats, ...], ...]

    @classmethod
    def of(cls, process: Process, prompt: Floats, *, spacing: int, bound: Bound, tracked: bool) -> Lattice:
        """Lattice for the lengths of a process.

        Args:
            process: the simulator.
            prompt: ``float64[K]`` unread tokens at the start.
            spacing: tokens between two points.
            bound: ``lower`` or ``upper``.
            tracked: False if no model pays for reading.

        Raises:
            ValueError: unknown bound, or ``spacing`` < 1.
        """
        check_choice("bound", bound, BOUNDS)
        if spacing < 1:
            raise ValueError(f"spacing={spacing!r}; allowed: an integer >= 1")
        models = range(len(process.scored))
        if not tracked:
            return cls(spacing, 1, bound, tuple((np.ones(1),) * TOKEN_CELLS for _ in models))
        longest = _most_unread(process) + float(prompt.max())
        split = _spread if bound == "upper" else _gathered
        steps = []
        for model in models:
            lengths = process.tokens[model, 0, CORRECT]  # in a cell, lengths are the same for all levels and statuses
            cell = (lengths[:, None] > process.borders[model]).sum(axis=1)
            cells = [lengths[cell == c] for c in range(TOKEN_CELLS)]
            steps.append(tuple(split(part, spacing) if len(part) else np.ones(1) for part in cells))
        return cls(spacing, int(longest / spacing) + 2, bound, tuple(steps))

    def after(self, values: Floats, model: int, cell: int, axes: tuple[int, ...]) -> Floats:
        """Mean of ``values`` over a step of ``model`` in ``cell``, unread tokens growing along ``axes`` alike."""
        if self.size == 1 or not axes:
            return values
        mean = np.zeros_like(values)
        for number, chance in enumerate(self.steps[model][cell]):
            if chance > 0:
                moved = values
                for axis in axes:
                    moved = moved.take(np.minimum(np.arange(self.size) + number, self.size - 1), axis=axis)
                mean += chance * moved
        return mean

    def at(self, values: Floats, tokens: float, axis: int) -> Floats:
        """``values`` at a number of unread tokens, bounded like the rest; the axis is kept, with length 1."""
        if values.shape[axis] == 1:
            return values
        place = tokens / self.spacing
        low, high = int(np.floor(place)), int(np.ceil(place))
        share = place - low if self.bound == "upper" else 1.0
        mixed: Floats = (1 - share) * values.take([low], axis=axis) + share * values.take([high], axis=axis)
        return mixed

    def nearest(self, tokens: NDArray[np.int64]) -> NDArray[np.int64]:
        """Index of the nearest point."""
        return np.asarray(np.minimum((tokens + self.spacing // 2) // self.spacing, self.size - 1), dtype=np.int64)

    @property
    def points(self) -> Floats:
        """Tokens at each point, ``float64[size]``."""
        return np.arange(self.size, dtype=np.float64) * self.spacing


def _most_unread(process: Process) -> int:
    """Tokens that the steps of a trace exceed in fewer than ``_TAIL`` of all episodes, whoever writes them.

    What lies beyond the last point of the lattice would be read for nothing, so nothing may. Horizon times the mean
    length is exceeded; horizon times the longest step is not, but would make the lattice of three models six times as
    large.
    """
    order = process.tokens.reshape(-1, process.tokens.shape[-1]).max(axis=0)  # draws ascend: the longest of each rank
    step = np.bincount(order) / len(order)
    ends, alive = process.stop.min(axis=0), np.ones(1)
    over = np.zeros(len(step) * process.horizon + 1)
    for chance in ends.tolist():
        alive = np.convolve(alive, step)
        over[: len(alive)] += chance * alive
        alive *= 1 - chance
    beyond = np.cumsum(over[::-1])[::-1]  # chance of that many tokens or more
    return int(np.argmax(beyond < _TAIL)) if (beyond < _TAIL).any() else len(over)


def _spread(lengths: NDArray[np.int64], spacing: int) -> Floats:
    """Each length as the neighbouring multiples with the same mean: larger in convex order."""
    low = lengths // spacing
    share = lengths / spacing - low
    chances = np.zeros(int(low.max()) + 2)
    np.add.at(chances, low, 1 - share)
    np.add.at(chances, low + 1, share)
    return chances / len(lengths)


def _gathered(lengths: NDArray[np.int64], spacing: int) -> Floats:
    """Neighbouring lengths gathered into groups whose mean is a multiple: smaller in convex order."""
    chances = np.zeros(int(lengths.max()) // spacing + 2)
    rest = np.ones(len(lengths))
    first = 0
    while first < len(lengths):
        goal = int(np.ceil(lengths[first] / spacing))
        excess = np.cumsum((lengths[first:] - goal * spacing) * rest[first:])
        full = int(np.searchsorted(excess >= 0, True)) if (excess >= 0).any() else -1
        if full < 0:  # the last group stays below its goal, which is rounding up
            chances[goal] += rest[first:].sum()
            break
        over = lengths[first + full] - goal * spacing
        taken = rest[first + full] - (excess[full] / over if over else 0.0)
        chances[goal] += rest[first : first + full].sum() + taken
        rest[first + full] -= taken
        first += full + int(rest[first + full] <= 1e-12)
    return chances / len(lengths)
