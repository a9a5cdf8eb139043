"""A source with fewer problems a split: a random source has thousands, and a comparison plays each dozens of times."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gym_stepwise_routing.sources.base import Split, StepSource

__all__ = ["limited"]


class _Limited:
    """The source, with the first problems of each split only."""

    def __init__(self, source: StepSource, most: int) -> None:
        self._source, self._most = source, most

    def __getattr__(self, name: str) -> Any:
        return getattr(self._source, name)

    def problems(self, split: Split) -> NDArray[np.int64]:
        """The first problems of a split."""
        return self._source.problems(split)[: self._most]


def limited(source: StepSource, most: int) -> StepSource:
    """The source with at most ``most`` problems a split; the source itself if no split has more.

    Raises:
        ValueError: fewer than 2 problems.
    """
    if most < 2:
        raise ValueError(f"problems={most!r}; allowed: an integer >= 2")
    if all(len(source.problems(split)) <= most for split in ("train", "calibration", "test")):
        return source
    smaller: Any = _Limited(source, most)
    found: StepSource = smaller
    return found
