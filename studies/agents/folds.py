"""Parts of the train split: cross-validation, and learning curves over the number of problems."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from gym_stepwise_routing.banks.bank import Bank
from gym_stepwise_routing.sources.subset import Part

__all__ = ["Part", "cross_validation", "learning_curve"]


def cross_validation(bank: Bank, folds: int, *, seed: int = 0) -> Iterator[Part]:
    """Parts of the train split: in each, one fold is ``calibration`` and the others are ``train``; no other split.

    Args:
        bank: the bank.
        folds: number of folds, 2 to the number of train problems.
        seed: seed of the shuffle.

    Raises:
        ValueError: a number of folds out of range.
    """
    problems = bank.split_problems("train")
    if not 2 <= folds <= len(problems):
        raise ValueError(f"folds={folds!r}; allowed: 2 to {len(problems)}")
    shuffled = np.random.default_rng(seed).permutation(problems)
    for held_out in np.array_split(shuffled, folds):
        yield Part(bank, {"train": np.setdiff1d(problems, held_out), "calibration": held_out})


def learning_curve(bank: Bank, size: int, *, seed: int) -> Part:
    """The bank with ``size`` random train problems; the other splits as they are.

    Raises:
        ValueError: more problems than there are.
    """
    problems = bank.split_problems("train")
    if not 1 <= size <= len(problems):
        raise ValueError(f"size={size!r}; allowed: 1 to {len(problems)}")
    chosen = np.random.default_rng(seed).choice(problems, size, replace=False)
    return Part(
        bank,
        {
            "train": chosen,
            "calibration": bank.split_problems("calibration"),
            "test": bank.split_problems("test"),
        },
    )
