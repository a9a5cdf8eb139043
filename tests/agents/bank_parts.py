"""A bank of a few problems."""

from __future__ import annotations

import numpy as np

from gym_stepwise_routing.banks.bank import Bank
from gym_stepwise_routing.game.config import DEFAULT_BANK
from gym_stepwise_routing.game.game import Game
from gym_stepwise_routing.sources.subset import Part

__all__ = ["bank_part"]


def bank_part(*, size=40, solved=None):
    """Some train problems of the bank; ``solved=False``: such that nobody answers right."""
    bank = Bank.open(DEFAULT_BANK)
    problems = bank.split_problems("train")
    if solved is False:
        table = Game(split="train", cost_unit="large_tokens").table
        right = np.zeros(len(table.roots), dtype=bool)
        np.logical_or.at(right, table.problem, table.terminal & table.correct)
        problems = problems[~right]
    return Part(bank, {"train": problems[:size], "calibration": bank.split_problems("calibration")})
