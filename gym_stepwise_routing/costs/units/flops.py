"""FLOPs: the usual forward-pass estimate (Kaplan et al., arXiv 2001.08361)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gym_stepwise_routing.costs.ledger import KINDS, PREFILL, VERIFIER
from gym_stepwise_routing.costs.models import Model
from gym_stepwise_routing.costs.units.unit import COST_UNITS, DECODED, Unit, by_model
from gym_stepwise_routing.errors import PriceError


def _row(model: Model) -> NDArray[np.float64]:
    if model.parameters is None:
        raise PriceError(f"model {model.name!r} has no parameter count")
    weights = np.zeros(len(KINDS))
    weights[[*DECODED, PREFILL, VERIFIER]] = 2.0 * (model.active_parameters or model.parameters)
    return weights


COST_UNITS.register(
    Unit(
        name="flops",
        label="FLOPs",
        measure="TFLOP",
        scale=1e-12,
        definition="decoded tokens, uncached prefill and verifier tokens, times twice the (active) parameters",
        needs="parameter counts",
        weights=by_model(_row),
        place=0,
    )
)
