"""The ledger: what was spent, by model and kind, as integer counts. Money and FLOPs are functions of it (``costs``).

A ledger is an ``int64`` array of shape ``(..., rows, len(KINDS))``. Rows are the models of the pool, smallest first,
then the verifier if the pool has one (:attr:`gym_stepwise_routing.costs.models.ModelPool.rows`).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from gym_stepwise_routing.costs.models import ModelPool

__all__ = ["CACHED", "CALLS", "DISCARDED", "KEPT", "KINDS", "PREFILL", "PROBE", "VERIFIER", "as_table", "empty_ledger"]

KINDS = ("calls", "prefill", "cached", "kept", "discarded", "probe", "verifier")
"""Columns of a ledger.

=========== ==================================================================================================
calls       requests to the model
prefill     context tokens that it had to read afresh
cached      context tokens that its prefix cache served
kept        decoded tokens that are part of the trace
discarded   decoded tokens of drafts that were thrown away
probe       decoded tokens of probes (first token of a step that the model did not write in the end); of a
            verifier: tokens decoded in order to score, such as the digit of a rating
verifier    tokens read afresh in order to score a step, the verifier's own prompt included
=========== ==================================================================================================
"""
CALLS, PREFILL, CACHED, KEPT, DISCARDED, PROBE, VERIFIER = range(len(KINDS))


def empty_ledger(pool: ModelPool, batch: int) -> NDArray[np.int64]:
    """Ledger of zeros, ``int64[batch, rows, kinds]``."""
    return np.zeros((batch, len(pool.rows), len(KINDS)), dtype=np.int64)


def as_table(ledger: NDArray[np.int64], pool: ModelPool) -> Mapping[str, Mapping[str, int]]:
    """One ledger (``int64[rows, kinds]``) as ``{model name: {kind: count}}``, for people and JSON."""
    return {m.name: dict(zip(KINDS, map(int, row), strict=True)) for m, row in zip(pool.rows, ledger, strict=True)}
