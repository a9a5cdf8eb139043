"""A bank with other splits than recorded: folds of the train split, and what is held out of it."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from gym_stepwise_routing.banks.bank import Bank
from gym_stepwise_routing.sources.bank import BankSource
from gym_stepwise_routing.sources.base import Split

__all__ = ["Part", "hold_out"]


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
