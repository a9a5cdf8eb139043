"""What a cost unit is, the registry of them, and the cost of a ledger."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gym_stepwise_routing.costs.ledger import DISCARDED, KEPT, PROBE
from gym_stepwise_routing.costs.models import Model, ModelPool
from gym_stepwise_routing.errors import PriceError
from gym_stepwise_routing.registry import Registry, registering

__all__ = [
    "COST_UNITS",
    "DECODED",
    "DEFAULT_UNIT",
    "CostUnit",
    "Unit",
    "available_units",
    "by_model",
    "cost_of",
    "cost_weights",
    "reported_units",
]

DECODED = (KEPT, DISCARDED, PROBE)
"""Kinds of the ledger that are decoded tokens."""

CostUnit = str
"""Name of a cost unit, one of :data:`COST_UNITS`."""
DEFAULT_UNIT: CostUnit = "large_tokens"
"""The unit that is taken where none is named: every pool has it."""

Weights = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """A cost unit.

    Attributes:
        name: what it is asked for by.
        label: what tables and figures call it.
        measure: what its cells in tables are counted in.
        scale: what costs are multiplied by in these cells.
        definition: what is counted, for readers.
        needs: what every model of the pool must have for it, '' if nothing.
        weights: gives ``float64[rows, kinds]`` for a pool, so that a cost is the sum of ``ledger * weights``; raises
            :class:`gym_stepwise_routing.errors.PriceError` where a model lacks what it needs: nothing is ever priced
            at 0.
        place: units are listed by this number.
        beside: results in another unit show it beside, where the pool has it.
    """

    name: str
    label: str
    measure: str
    definition: str
    weights: Callable[[ModelPool], Weights]
    needs: str = ""
    scale: float = 1.0
    place: int = 9
    beside: bool = True

    @property
    def title(self) -> str:
        """The label as a heading."""
        return self.label[:1].upper() + self.label[1:]


COST_UNITS: Registry[Unit] = Registry(
    "cost_unit",
    Unit,
    group="gym_stepwise_routing.cost_units",
    builtin=registering(__package__),
    order=lambda unit: unit.place,
)
"""The cost units."""


def by_model(row: Callable[[Model], Weights]) -> Callable[[ModelPool], Weights]:
    """Weights of a unit that takes a figure of each model alone, a verifier's included."""
    return lambda pool: np.stack([row(model) for model in pool.rows])


def cost_weights(unit: CostUnit, pool: ModelPool) -> Weights:
    """Weights ``float64[rows, kinds]`` such that the cost of a ledger is the sum of ``ledger * weights``.

    Raises:
        ValueError: unknown unit.
        PriceError: a model (or the verifier) lacks the figure that the unit needs. The message lists the units that
            the pool has figures for.
    """
    try:
        return COST_UNITS.get(unit).weights(pool)
    except PriceError as error:
        allowed = ", ".join(map(repr, available_units(pool)))
        raise PriceError(f"cost_unit={unit!r}: {error}; allowed: {allowed}") from None


def available_units(pool: ModelPool) -> tuple[CostUnit, ...]:
    """The units that every model of the pool has figures for."""

    def known(unit: Unit) -> bool:
        try:
            unit.weights(pool)
        except PriceError:
            return False
        return True

    return tuple(name for name, unit in COST_UNITS.items() if known(unit))


def reported_units(pool: ModelPool, unit: CostUnit) -> tuple[CostUnit, ...]:
    """The units that a result in ``unit`` is told in: this one, and those of the pool that are shown beside it."""
    return tuple(name for name in available_units(pool) if name == unit or COST_UNITS.get(name).beside)


def cost_of(ledger: NDArray[np.int64], unit: CostUnit, pool: ModelPool) -> NDArray[np.float64]:
    """Cost of ledgers ``int64[..., rows, kinds]`` in ``unit``: ``float64[...]``."""
    cost: NDArray[np.float64] = np.einsum("...rk,rk->...", ledger.astype(np.float64), cost_weights(unit, pool))
    return cost
