"""Key-value caches of finished runs, so that a trace that goes on does not read its prefix again."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["CachedRun", "PrefixCache"]


@dataclass(frozen=True, slots=True)
class CachedRun:
    """Keys and values of one sequence.

    Attributes:
        ids: ``int64[T]`` its tokens.
        layers: per layer the tensors ``(keys, values)``, each ``[heads, T, size]``.
    """

    ids: NDArray[np.int64]
    layers: tuple[tuple[Any, Any], ...]


class PrefixCache:
    """The most recently used runs, up to a number of tokens.

    Args:
        capacity: most tokens kept over all runs; 0 keeps nothing.
    """

    def __init__(self, capacity: int) -> None:
        if capacity < 0:
            raise ValueError(f"cache_tokens={capacity!r}; allowed: an integer >= 0")
        self.capacity = capacity
        self._runs: OrderedDict[bytes, CachedRun] = OrderedDict()
        self._tokens = 0

    def longest(self, ids: Sequence[int]) -> tuple[CachedRun | None, int]:
        """The run that shares the longest prefix with ``ids``, and the length of that prefix (at most all but one)."""
        wanted = np.asarray(ids, dtype=np.int64)
        best: CachedRun | None = None
        length = 0
        for run in self._runs.values():
            shared = _shared(run.ids, wanted[:-1])
            if shared > length:
                best, length = run, shared
        if best is not None:
            self._runs.move_to_end(best.ids.tobytes())
        return best, length

    def add(self, run: CachedRun) -> None:
        """Keep a run; runs that are prefixes of it go, and the least recently used ones until all fit."""
        if len(run.ids) > self.capacity:
            return
        for key in [key for key, old in self._runs.items() if _shared(old.ids, run.ids) == len(old.ids)]:
            self._tokens -= len(self._runs.pop(key).ids)
        self._runs[run.ids.tobytes()] = run
        self._tokens += len(run.ids)
        while self._tokens > self.capacity:
            self._tokens -= len(self._runs.popitem(last=False)[1].ids)


def _shared(one: NDArray[np.int64], other: NDArray[np.int64]) -> int:
    length = min(len(one), len(other))
    different = np.flatnonzero(one[:length] != other[:length])
    return int(different[0]) if len(different) else length
