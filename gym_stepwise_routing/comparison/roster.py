"""Who is compared: every family of :data:`gym_stepwise_routing.routers.families.ROUTERS`.

Each is registered in its own file, in ``baselines`` or, where it needs a comparison's games, beside this one.
"""

from __future__ import annotations

from gym_stepwise_routing.comparison import cascades, contenders, queries, state_bounds
from gym_stepwise_routing.registry import registering
from gym_stepwise_routing.routers.families import ROUTERS, Family

__all__ = ["ROUTERS", "roster"]

BESIDE = (cascades, contenders, queries, state_bounds)
"""What registers families here."""

ROUTERS.filled_by(registering("gym_stepwise_routing.baselines"))


def roster() -> tuple[Family, ...]:
    """Every family, in the order of the table: by group, then by name."""
    return ROUTERS.values()
