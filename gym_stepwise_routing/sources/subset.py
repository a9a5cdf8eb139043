"""A source with other splits than its own: folds and held-out parts of a bank, or just fewer problems a split."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gym_stepwise_routing.banks.bank import Bank
from gym_stepwise_routing.sources.contract import StepSource
from gym_stepwise_routing.sources.recorded import BankSource
from gym_stepwise_routing.types import Split

__all__ = ["Part", "hold_out", "limited"]


class Part(BankSource):
    """A bank whose splits are other problems than recorded.

    Args:
        bank: the bank.
        splits: problems of each split; a split that is not given is empty.
    """

    def __init__(self, bank: Bank, splits: Mapping[Split, NDArray[np.int64]]) -> None:
        super().__init__(bank)
        self._parts = {split: np.sort(problems) for split, problems in splits.items()}

    def problems(self, split: Split) -> NDArray[np.int64]:
        """Problems of a split, ascending."""
        return self._parts.get(split, np.empty(0, dtype=np.int64))


def hold_out(source: BankSource, share: float, *, seed: int) -> Part:
    """Part of a bank's train split: ``calibration`` is the share that is held out, ``train`` the rest; no test split.

    Args:
        source: the bank; its own calibration and test problems are left alone.
        share: share of the train problems, in (0, 1); at least one is held out, and one left.
        seed: seed of the choice.

    Raises:
        ValueError: a share out of range, or fewer than two train problems.
    """
    problems = source.problems("train")
    if not 0 < share < 1 or len(problems) < 2:
        raise ValueError(f"share={share!r} of {len(problems)} problems; allowed: in (0, 1), of at least 2")
    size = min(max(round(share * len(problems)), 1), len(problems) - 1)
    held_out = np.random.default_rng(seed).choice(problems, size, replace=False)
    return Part(source.bank, {"train": np.setdiff1d(problems, held_out), "calibration": held_out})


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
