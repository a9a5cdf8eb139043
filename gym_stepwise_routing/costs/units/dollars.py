"""US dollars by a dated price table."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gym_stepwise_routing.costs.ledger import CACHED, KINDS, PREFILL, VERIFIER
from gym_stepwise_routing.costs.models import Model
from gym_stepwise_routing.costs.units.unit import COST_UNITS, DECODED, Unit, by_model
from gym_stepwise_routing.errors import PriceError


def _row(model: Model) -> NDArray[np.float64]:
    if model.price is None:
        raise PriceError(f"model {model.name!r} has no price")
    weights = np.zeros(len(KINDS))
    weights[list(DECODED)] = model.price.output
    weights[VERIFIER] = model.price.input
    weights[PREFILL] = model.price.input if model.price.cache_write is None else model.price.cache_write
    weights[CACHED] = model.price.cached_input
    return weights * 1e-6


COST_UNITS.register(
    Unit(
        name="dollars",
        label="dollars",
        measure="m$",
        scale=1e3,
        definition="a dated price table: fresh input, cached input, output",
        needs="prices",
        weights=by_model(_row),
        place=2,
    )
)
