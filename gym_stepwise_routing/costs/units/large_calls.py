"""Calls of the large model: its steps, or turns on an environment. RouteLLM (arXiv 2406.18665) counts in it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gym_stepwise_routing.costs.ledger import CALLS, KINDS
from gym_stepwise_routing.costs.models import ModelPool
from gym_stepwise_routing.costs.units.unit import COST_UNITS, Unit


def _weights(pool: ModelPool) -> NDArray[np.float64]:
    weights = np.zeros((len(pool.rows), len(KINDS)))
    weights[len(pool) - 1, CALLS] = 1.0  # of a verifier nothing, be it the largest model itself
    return weights


COST_UNITS.register(
    Unit(
        name="large_calls",
        label="large calls",
        measure="large calls",
        definition="calls of the largest model, one for each of its steps or turns",
        weights=_weights,
        place=4,
        beside=False,
    )
)
