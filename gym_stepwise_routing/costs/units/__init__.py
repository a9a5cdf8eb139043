"""Cost units: linear functions of the ledger, one file each. ``stepwise-routing list cost-units`` shows what they mean.

A further one is a file here, or an entry point ``gym_stepwise_routing.cost_units`` of another package.
"""

from gym_stepwise_routing.costs.units.unit import (
    COST_UNITS,
    DEFAULT_UNIT,
    CostUnit,
    Unit,
    available_units,
    cost_of,
    cost_weights,
    reported_units,
)

__all__ = [
    "COST_UNITS",
    "DEFAULT_UNIT",
    "CostUnit",
    "Unit",
    "available_units",
    "cost_of",
    "cost_weights",
    "reported_units",
]
