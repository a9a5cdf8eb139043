"""Seconds, one call after the other: calls x overhead + prefill x s/token + decoded x s/token."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gym_stepwise_routing.costs.ledger import CALLS, KINDS, PREFILL, VERIFIER
from gym_stepwise_routing.costs.models import Model
from gym_stepwise_routing.costs.units.unit import COST_UNITS, DECODED, Unit, by_model
from gym_stepwise_routing.errors import PriceError


def _row(model: Model) -> NDArray[np.float64]:
    if model.latency is None:
        raise PriceError(f"model {model.name!r} has no measured latency")
    weights = np.zeros(len(KINDS))
    weights[list(DECODED)] = model.latency.decode
    weights[[PREFILL, VERIFIER]] = model.latency.prefill
    weights[CALLS] = model.latency.overhead
    return weights


COST_UNITS.register(
    Unit(
        name="latency",
        label="latency",
        measure="s",
        definition="seconds, one call after the other, from measured speeds",
        needs="measured speeds",
        weights=by_model(_row),
        place=3,
    )
)
