"""What a step shows beyond its cell: little, and how much exactly."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from gym_stepwise_routing.sources.simulator import SimulatorSource
from gym_stepwise_routing.sources.simulator.score_signals import TOKEN_CELLS

LIMITS = {"gsm8k-like": 0.02, "math-qwen2.5": 0.15, "math-qwen2.5-3": 0.15, "omni-like": 0.15}
"""As stated in ``signals``."""


def shares(lengths, size):
    return np.bincount(lengths, minlength=size) / len(lengths)


def beyond_the_cell(process):
    """Greatest mean total variation within cells, over pairs of (level, status) of a model: cells as often as drawn."""
    size, worst = process.tokens.max() + 1, 0.0
    for lengths, borders in zip(process.tokens, process.borders, strict=True):
        kinds = [shares(row, size) for row in lengths.reshape(-1, lengths.shape[-1])]
        cell = (np.arange(size)[:, None] > borders).sum(axis=1)
        for one, other in combinations(kinds, 2):
            found = 0.0
            for c in range(TOKEN_CELLS):
                a, b = one[cell == c], other[cell == c]
                if a.sum() and b.sum():
                    found += (a.sum() + b.sum()) / 2 * abs(a / a.sum() - b / b.sum()).sum() / 2
            worst = max(worst, found)
    return worst


@pytest.mark.parametrize("preset", LIMITS)
def test_within_a_cell_the_exact_length_says_little(preset):
    assert 0 < beyond_the_cell(SimulatorSource(preset).process) < LIMITS[preset]
