"""What a step shows: its length, its verifier score and its confidence figures, as tables to draw from.

Given the status of the step, the three are independent. Each says something of the hidden state through a *cell* (a
quarter of the lengths, a score bin, a confidence bin), and the router's belief is computed from the cells (see
:mod:`gym_stepwise_routing.planning`). Within a cell, exact scores and confidence figures say nothing more. Exact
lengths say a little: statuses and levels draw from one list of lengths a cell, but as a table has ``TOKEN_DRAWS``
entries they do not take each as often. Between two kinds of steps the total variation within cells is at most 0.02 in
``gsm8k-like`` and 0.15 in the other presets (``tests/sources/test_simulator_signals.py``).
"""

from __future__ import annotations

import json
from functools import cache
from importlib import resources
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gym_stepwise_routing.errors import check_choice
from gym_stepwise_routing.sources.simulator.parameters import SCORE_BINS, ScoreModel, StepTokens
from gym_stepwise_routing.types import CONFIDENCE

__all__ = [
    "CONFIDENCE_ROWS",
    "SCORE_BINS",
    "TOKEN_CELLS",
    "TOKEN_DRAWS",
    "apportion",
    "confidence_rows",
    "measured_scores",
    "score_chances",
    "score_groups",
    "token_tables",
]

TOKEN_DRAWS = 1024
"""A step's length is one of this many equally likely entries of a table."""
TOKEN_CELLS = 4
CONFIDENCE_ROWS = 64
"""Recorded steps in each confidence bin."""


def apportion(shares: NDArray[np.float64], total: int) -> NDArray[np.int64]:
    """Integers in proportion to ``shares`` along the last axis that add up to ``total`` (largest remainders)."""
    exact = shares / shares.sum(axis=-1, keepdims=True) * total
    counts = np.floor(exact).astype(np.int64)
    missing = total - counts.sum(axis=-1, keepdims=True)
    rank = np.argsort(np.argsort(counts - exact, axis=-1, kind="stable"), axis=-1, kind="stable")
    complete: NDArray[np.int64] = counts + (rank < missing)
    return complete


def token_tables(tokens: StepTokens) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Lengths of steps and the borders of the cells.

    A correct step on a problem of the first level is log-normal. All other steps have the same lengths within each
    quarter, but the quarters are weighted by powers of one number so that the mean is right.

    Returns:
        ``int64[K, L, status, TOKEN_DRAWS]`` equally likely lengths, ascending; and ``int64[K, TOKEN_CELLS - 1]``: a
        step is in cell c if it is longer than c of these.

    Raises:
        ValueError: no weights give such a mean.
    """
    normal = NormalDist()
    deviates = np.array([normal.inv_cdf((i + 0.5) / TOKEN_DRAWS) for i in range(TOKEN_DRAWS)])
    shape = np.exp(tokens.spread * deviates)
    mean = np.asarray(tokens.mean)[:, None]
    base = np.maximum(np.rint(mean * shape / shape.mean()), 1).astype(np.int64)
    ends = [round(TOKEN_DRAWS * cell / TOKEN_CELLS) - 1 for cell in range(1, TOKEN_CELLS)]
    borders = base[:, ends]
    ratios = np.outer(tokens.level_ratio, tokens.status_ratio)
    lengths = [
        [[_tilted(row, border, ratio) for ratio in by_status] for by_status in ratios]
        for row, border in zip(base, borders, strict=True)
    ]
    return np.array(lengths), borders


def _tilted(base: NDArray[np.int64], borders: NDArray[np.int64], ratio: float) -> NDArray[np.int64]:
    if ratio == 1:
        return base
    cell = (base[:, None] > borders).sum(axis=1)
    members = [base[cell == c] for c in range(TOKEN_CELLS)]
    low, high = -8.0, 8.0
    for _ in range(40):
        middle = (low + high) / 2
        counts = apportion(np.array([len(m) * np.exp(middle * c) for c, m in enumerate(members)]), TOKEN_DRAWS)
        lengths = np.concatenate(
            [m[((np.arange(n) + 0.5) / max(n, 1) * len(m)).astype(int)] for m, n in zip(members, counts, strict=True)]
        )
        low, high = (middle, high) if lengths.mean() < ratio * base.mean() else (low, middle)
    if abs(lengths.mean() / base.mean() - ratio) > 0.01:
        raise ValueError(
            f"step_tokens: a step {ratio:.2f} times as long as a correct one is not reached; allowed with this spread: "
            f"{members[0].mean() / base.mean():.2f} to {members[-1].mean() / base.mean():.2f} times"
        )
    return np.sort(lengths)


def _measured(name: str) -> dict[str, Any]:
    file = resources.files(__package__) / "measured" / f"{name}.json"
    content: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return content


@cache
def measured_scores(name: str) -> NDArray[np.float64]:
    """Measured joint distributions ``float64[status, least score so far, score]``, ``SCORE_BINS`` bins each.

    Raises:
        ValueError: unknown name.
    """
    known = _measured("scores")["joint"]
    check_choice("scores.measured", name, known)
    joint = np.array([known[name][status] for status in ("correct_so_far", "first_error_now", "error_propagated")])
    joint /= joint.sum(axis=(1, 2), keepdims=True)
    joint.flags.writeable = False
    return joint


def score_groups(upper_ends: tuple[float, ...]) -> NDArray[np.int64]:
    """Group of each bin of the least score so far, ``int64[SCORE_BINS]``."""
    centres = (np.arange(SCORE_BINS) + 0.5) / SCORE_BINS
    return np.searchsorted(np.asarray(upper_ends), centres)


def score_chances(scores: ScoreModel) -> NDArray[np.float64]:
    """Chance of each score bin, ``float64[group, status, bin]``; see :class:`ScoreModel`."""
    joint = measured_scores(scores.measured)
    group = score_groups(scores.groups)
    measured = np.stack([joint[:, group == g].sum(axis=1) for g in range(len(scores.groups))])
    measured /= measured.sum(axis=2, keepdims=True)
    edges = np.arange(SCORE_BINS + 1) / SCORE_BINS
    low = np.exp(-edges[:-1] / scores.decay) - np.exp(-edges[1:] / scores.decay)
    low /= low.sum()
    near_zero, near_one = np.array(scores.near_zero)[:, None], np.array(scores.near_one)[:, None]
    chances: NDArray[np.float64] = (1 - near_zero - near_one) * measured + near_zero * low + near_one * low[::-1]
    return chances


@cache
def confidence_rows(name: str) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Recorded confidence figures ``float32[bin, CONFIDENCE_ROWS, len(CONFIDENCE)]`` and borders between the bins.

    The borders ``float64[bins - 1]`` are mean log-probabilities: a step is in bin z if its own is above z of them.

    Raises:
        ValueError: unknown name.
    """
    known = _measured("confidence")
    check_choice("confidence.measured", name, known["rows"])
    rows = np.array(known["rows"][name], dtype=np.float32)
    assert rows.shape[1:] == (CONFIDENCE_ROWS, len(CONFIDENCE))
    rows.flags.writeable = False
    return rows, np.array(known["borders"][name])
