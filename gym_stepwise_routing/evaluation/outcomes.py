"""Per-problem outcomes: the arrays that intervals are computed from."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from gym_stepwise_routing.evaluation.curves import Array

__all__ = ["AnchorOutcomes", "SweepOutcomes", "per_problem"]


@dataclass(frozen=True, kw_only=True, eq=False)
class SweepOutcomes:
    """What one router's sweep did on each problem.

    Attributes:
        right: whether the final answer was right, ``bool[T, n]``, or ``[S, T, n]`` for S training seeds.
        cost: normalised cost, same shape, finite, >= 0.
    """

    right: ArrayLike
    cost: ArrayLike

    def rows(self) -> tuple[Array, Array]:
        """``right`` and ``cost`` as checked ``float64[S, T, n]``."""
        right, cost = per_problem("right", self.right, (2, 3), top=1.0), per_problem("cost", self.cost, (2, 3))
        if right.shape != cost.shape:
            raise ValueError(f"right has shape {right.shape} and cost {cost.shape}; they must be equal")
        return right.reshape(-1, *right.shape[-2:]), cost.reshape(-1, *cost.shape[-2:])


@dataclass(frozen=True, kw_only=True, eq=False)
class AnchorOutcomes:
    """What the two constant routers did on each problem; all arrays ``[n]``, in the problem order of the sweep.

    Attributes:
        right_small: whether always-smallest was right.
        cost_small: its normalised cost.
        right_large: whether always-largest was right.
        cost_large: its normalised cost.
    """

    right_small: ArrayLike
    cost_small: ArrayLike
    right_large: ArrayLike
    cost_large: ArrayLike

    def rows(self) -> Array:
        """The four vectors in the order of the fields, checked, ``float64[4, n]``."""
        fields = {
            "right_small": (self.right_small, 1.0),
            "cost_small": (self.cost_small, math.inf),
            "right_large": (self.right_large, 1.0),
            "cost_large": (self.cost_large, math.inf),
        }
        rows = [per_problem(name, values, (1,), top=top) for name, (values, top) in fields.items()]
        if len({len(row) for row in rows}) != 1:
            raise ValueError(f"the anchors' arrays have {[len(row) for row in rows]} problems; they must be as many")
        return np.stack(rows)


def per_problem(
    name: str, values: ArrayLike, dimensions: tuple[int, ...], *, low: float = 0.0, top: float = math.inf
) -> Array:
    """``values`` as finite ``float64`` in [``low``, ``top``], with one of ``dimensions`` axes, the last over problems.

    Raises:
        ValueError: naming ``name`` and what is wrong with its values.
    """
    array = np.asarray(values, dtype=np.float64)
    if array.ndim not in dimensions or 0 in array.shape or array.shape[-1] < 2:
        allowed = " or ".join(map(str, dimensions))
        raise ValueError(f"{name} has shape {array.shape}; it must have {allowed} axes, the last over >= 2 problems")
    if not np.isfinite(array).all() or array.min() < low or array.max() > top:
        raise ValueError(f"{name} holds values outside [{low:g}, {top:g}], or not finite")
    return array
