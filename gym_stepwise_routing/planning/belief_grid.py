"""A grid on the beliefs over n hidden states, with interpolation that is exact at its points (Lovejoy, 1991).

Points are the beliefs whose entries are multiples of 1 / resolution. Any belief is a convex combination of at most n of
them (Freudenthal's triangulation). The optimal value of a partially observed process is convex in the belief, so that
interpolating it can only raise it: dynamic programming on the grid gives an upper bound.
"""

from __future__ import annotations

from itertools import combinations
from math import comb

import numpy as np
from numpy.typing import NDArray

__all__ = ["BeliefGrid"]

Floats = NDArray[np.float64]


class BeliefGrid:
    """All beliefs over ``states`` states with entries in multiples of ``1 / resolution``.

    Args:
        states: hidden states, n >= 2.
        resolution: steps from 0 to 1.

    Attributes:
        points: ``float64[N, n]``.
    """

    def __init__(self, states: int, resolution: int) -> None:
        if states < 2 or resolution < 1:
            raise ValueError(f"states={states!r}, resolution={resolution!r}; allowed: >= 2 and >= 1")
        self.states, self.resolution = states, resolution
        bars = np.array(list(combinations(range(resolution + states - 1), states - 1)), dtype=np.int64)
        edges = np.concatenate(
            [np.full((len(bars), 1), -1), bars, np.full((len(bars), 1), resolution + states - 1)], axis=1
        )
        self.points: Floats = (np.diff(edges, axis=1) - 1) / resolution
        self._rank = np.array(
            [[comb(height + row, row + 1) for height in range(resolution + 2)] for row in range(states - 1)],
            dtype=np.int64,
        )
        order = np.argsort(self._ranks(self._staircase(np.rint(self.points * resolution))).sum(axis=1))
        self.points = self.points[order]

    def __len__(self) -> int:
        return len(self.points)

    def locate(self, beliefs: Floats) -> tuple[NDArray[np.int64], Floats]:
        """Points and weights of beliefs ``float64[B, n]`` (rows add up to 1): ``int64[B, n]``, ``float64[B, n]``."""
        stairs = self._staircase(beliefs * self.resolution)
        base = np.clip(np.floor(stairs + 1e-9), 0, self.resolution)
        rest = np.clip(stairs - base, 0.0, 1.0)
        order = np.argsort(-rest, axis=1, kind="stable")  # each corner raises one coordinate more
        edges = np.empty((len(rest), self.states + 1))
        edges[:, 0], edges[:, 1:-1], edges[:, -1] = 1.0, np.take_along_axis(rest, order, axis=1), 0.0
        low = self._ranks(base)
        points = np.empty((len(rest), self.states), dtype=np.int64)
        points[:, 0] = low.sum(axis=1)
        points[:, 1:] = np.take_along_axis(self._ranks(np.minimum(base + 1, self.resolution)) - low, order, axis=1)
        return points.cumsum(axis=1), edges[:, :-1] - edges[:, 1:]

    def _staircase(self, scaled: Floats) -> Floats:
        """Descending partial sums from the right, without the first (which is the resolution): ``[B, n - 1]``."""
        return np.cumsum(scaled[:, :0:-1], axis=1)[:, ::-1]

    def _ranks(self, stairs: Floats) -> NDArray[np.int64]:
        """Terms of the number of each point with a staircase ``s_1 >= s_2 >= ...``: the combinatorial number system."""
        ranks: NDArray[np.int64] = self._rank[np.arange(self.states - 2, -1, -1), np.rint(stairs).astype(np.int64)]
        return ranks
