"""Tokens of the large model: the unit of TRIM (arXiv 2601.10245)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gym_stepwise_routing.costs.ledger import KINDS
from gym_stepwise_routing.costs.models import ModelPool
from gym_stepwise_routing.costs.units.unit import COST_UNITS, DECODED, Unit


def _weights(pool: ModelPool) -> NDArray[np.float64]:
    weights = np.zeros((len(pool.rows), len(KINDS)))
    weights[len(pool) - 1, list(DECODED)] = 1.0  # of a verifier nothing, be it the largest model itself
    return weights


COST_UNITS.register(
    Unit(
        name="large_tokens",
        label="large tokens",
        measure="large tokens",
        definition="tokens decoded by the largest model, kept or not",
        weights=_weights,
        place=1,
    )
)
