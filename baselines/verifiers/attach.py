"""Verifier scores on a recorded bank: exact soft labels from its trees, and a copy of the bank that carries scores."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from gym_stepwise_routing.banks import Bank
from gym_stepwise_routing.costs.models import Model

__all__ = ["node_reach", "soft_labels", "with_verifier"]

Floats = NDArray[np.float64]


def soft_labels(bank: Bank) -> Floats:
    """Probability that a trace ends right if each further step is written by a model drawn uniformly, ``float64[N]``.

    The labels that Math-Shepherd (arXiv 2312.08935) estimates from a few sampled completions; here every completion is
    recorded, so the share of right leaves, weighted by how likely they are reached, is exact.
    """
    label = np.where(bank.terminal, bank.correct, False).astype(np.float64)
    for depth in range(int(bank.depth.max()) - 1, -1, -1):
        rows = np.flatnonzero((bank.depth == depth) & ~bank.terminal)
        children = bank.child[rows]
        has = children >= 0
        label[rows] = np.where(has, label[children], 0.0).sum(axis=1) / np.maximum(has.sum(axis=1), 1)
    return label


def node_reach(bank: Bank) -> Floats:
    """Probability of meeting a node if every step is written by a model drawn uniformly, ``float64[N]``.

    Children that a node shares with the sibling whose text it repeats are met through both.
    """
    weight = np.zeros(len(bank.nodes))
    weight[bank.depth == 0] = 1.0
    for depth in range(int(bank.depth.max())):
        rows = np.flatnonzero(bank.depth == depth)
        has = bank.child[rows] >= 0
        share = weight[rows] / np.maximum(has.sum(axis=1), 1)
        for model in range(has.shape[1]):
            np.add.at(weight, bank.child[rows[has[:, model]], model], share[has[:, model]])
    return weight


def with_verifier(bank: Bank, verifier: Model, scores: NDArray[np.floating]) -> Bank:
    """A copy of the bank, in memory, whose steps carry a verifier's scores.

    Args:
        bank: the bank.
        verifier: the verifier; its parameters, price and speed are what reading a token with it costs.
        scores: ``float[N]`` in [0, 1], NaN where a node has none; scores of roots are dropped, as nothing was written.

    Raises:
        ValueError: another number of scores, or scores outside [0, 1].
    """
    if scores.shape != (len(bank.nodes),):
        raise ValueError(f"scores of shape {scores.shape}; allowed: one for each of the {len(bank.nodes)} nodes")
    known = np.isfinite(scores)
    if not ((scores[known] >= 0) & (scores[known] <= 1)).all():
        raise ValueError(f"scores from {scores[known].min()} to {scores[known].max()}; allowed: 0 to 1, or NaN")
    column = np.where(bank.depth > 0, scores, np.nan).astype(np.float32)
    column.flags.writeable = False
    content = hashlib.sha256(bank.hash.encode() + column.tobytes()).hexdigest()
    return replace(
        bank,
        manifest=replace(bank.manifest, verifier=verifier, content_sha256=content),
        nodes=replace(bank.nodes, score=column),
    )
