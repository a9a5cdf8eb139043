"""Cost units: linear functions of the ledger.

======================= ============ ==========================================================================
unit                    measured in  definition
======================= ============ ==========================================================================
``large_tokens``        tokens       tokens decoded by the largest model, kept or not (the unit of TRIM,
                                     arXiv 2601.10245); of a verifier nothing, be it the largest model itself
``flops``               FLOP         2 x parameters x (decoded tokens + prefill that no cache serves + verifier
                                     tokens), the usual forward-pass estimate (Kaplan et al., arXiv 2001.08361)
``dollars``             US dollars   dated price table: fresh input, cached input, output
``latency``             seconds      calls x overhead + prefill x s/token + decoded x s/token, sequentially
======================= ============ ==========================================================================
"""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from gym_stepwise_routing.costs.ledger import CACHED, CALLS, DISCARDED, KEPT, KINDS, PREFILL, PROBE, VERIFIER
from gym_stepwise_routing.costs.models import Model, ModelPool
from gym_stepwise_routing.errors import PriceError, check_choice

__all__ = ["COST_UNITS", "CostUnit", "available_units", "cost_of", "cost_weights"]

CostUnit = Literal["flops", "large_tokens", "dollars", "latency"]
COST_UNITS: tuple[CostUnit, ...] = get_args(CostUnit)
_DECODED = (KEPT, DISCARDED, PROBE)


def _flops(model: Model) -> NDArray[np.float64]:
    if model.parameters is None:
        raise PriceError(f"cost_unit='flops': model {model.name!r} has no parameter count")
    weights = np.zeros(len(KINDS))
    weights[[*_DECODED, PREFILL, VERIFIER]] = 2.0 * model.parameters
    return weights


def _dollars(model: Model) -> NDArray[np.float64]:
    if model.price is None:
        raise PriceError(f"cost_unit='dollars': model {model.name!r} has no price")
    weights = np.zeros(len(KINDS))
    weights[list(_DECODED)] = model.price.output
    weights[[PREFILL, VERIFIER]] = model.price.input
    weights[CACHED] = model.price.cached_input
    return weights * 1e-6


def _latency(model: Model) -> NDArray[np.float64]:
    if model.latency is None:
        raise PriceError(f"cost_unit='latency': model {model.name!r} has no measured latency")
    weights = np.zeros(len(KINDS))
    weights[list(_DECODED)] = model.latency.decode
    weights[[PREFILL, VERIFIER]] = model.latency.prefill
    weights[CALLS] = model.latency.overhead
    return weights


def cost_weights(unit: CostUnit, pool: ModelPool) -> NDArray[np.float64]:
    """Weights ``float64[rows, kinds]`` such that the cost of a ledger is the sum of ``ledger * weights``.

    Raises:
        ValueError: unknown unit.
        PriceError: a model (or the verifier) lacks the figure that the unit needs; nothing is ever priced at 0. The
            message lists the units that the pool has figures for.
    """
    check_choice("cost_unit", unit, COST_UNITS)
    try:
        return _weights(unit, pool)
    except PriceError as error:
        raise PriceError(f"{error}; allowed: {', '.join(map(repr, available_units(pool)))}") from None


def _weights(unit: CostUnit, pool: ModelPool) -> NDArray[np.float64]:
    if unit == "large_tokens":
        weights = np.zeros((len(pool.rows), len(KINDS)))
        weights[len(pool) - 1, list(_DECODED)] = 1.0
        return weights
    row = {"flops": _flops, "dollars": _dollars, "latency": _latency}[unit]
    return np.stack([row(model) for model in pool.rows])


def available_units(pool: ModelPool) -> tuple[CostUnit, ...]:
    """The units that every model of the pool has figures for."""

    def known(unit: CostUnit) -> bool:
        try:
            _weights(unit, pool)
        except PriceError:
            return False
        return True

    return tuple(unit for unit in COST_UNITS if known(unit))


def cost_of(ledger: NDArray[np.int64], unit: CostUnit, pool: ModelPool) -> NDArray[np.float64]:
    """Cost of ledgers ``int64[..., rows, kinds]`` in ``unit``: ``float64[...]``."""
    cost: NDArray[np.float64] = np.einsum("...rk,rk->...", ledger.astype(np.float64), cost_weights(unit, pool))
    return cost
