"""What the planner needs of a game, whatever is known of the hidden state: transitions between its points.

A *point* is what the router knows of the hidden state: the state itself (:mod:`.full_state`), or a belief on a grid
(:mod:`.belief`). Chances of transitions are not conditioned on going on: the dynamic program multiplies by that.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from scipy.sparse import csr_array

    Matrix = csr_array[Any, tuple[int, int]]
else:
    Matrix = Any

__all__ = ["DraftMoves", "Kernel", "StepMoves", "depth_classes"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class StepMoves:
    """A step that ``model`` writes, from each of ``S`` points (or ``R`` rows, see :class:`DraftMoves`).

    Attributes:
        model: who writes it.
        to: per cell of lengths, ``[S, S']`` chance of the next point and that cell.
        right: ``float64[S]`` chance of a right answer, if the trace ends with this step.
        tokens: ``float64[S]`` mean length.
    """

    model: int
    to: tuple[Matrix, ...]
    right: Floats
    tokens: Floats


@dataclass(frozen=True, slots=True, eq=False)
class DraftMoves:
    """A draft of the smallest model, and what may become of it.

    A *row* is a point and what the draft shows. ``keep`` and ``rewrite`` are moves from rows, times the chance of the
    row at its point.

    Attributes:
        point: ``int64[R]`` point of each row, ascending.
        cell: ``int64[R]`` cell of the draft's length.
        tokens: ``float64[S]`` mean length of the draft.
        chance: ``float64[R]`` of the row at its point.
        keep: the draft enters the trace.
        rewrite: the step that each larger model writes instead.
    """

    point: NDArray[np.int64]
    cell: NDArray[np.int64]
    tokens: Floats
    chance: Floats
    keep: StepMoves
    rewrite: tuple[StepMoves, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Kernel:
    """Transitions of a game.

    Attributes:
        depth_class: ``int64[H]`` depths of one class have the same transitions.
        steps: by class, per model (empty in mode *regenerate*).
        drafts: by class (mode *regenerate*; else empty).
        initial: ``float64[S]`` chance of each point at the start.
        begins: per model, its first step where it takes the problem afresh (mode *restart*; else empty): what was
            written is gone, what is known of the problem is not.
    """

    depth_class: NDArray[np.int64]
    steps: tuple[tuple[StepMoves, ...], ...]
    drafts: tuple[DraftMoves, ...]
    initial: Floats
    begins: tuple[StepMoves, ...] = ()


def depth_classes(flip: Floats) -> tuple[NDArray[np.int64], list[int]]:
    """Class of each depth by its flip chances (``[..., H]``), and one depth of each class."""
    found: list[int] = []
    classes = np.zeros(flip.shape[-1], dtype=np.int64)
    for depth in range(flip.shape[-1]):
        same = [number for number, other in enumerate(found) if np.array_equal(flip[..., other], flip[..., depth])]
        if not same:
            found.append(depth)
        classes[depth] = same[0] if same else len(found) - 1
    return classes, found
