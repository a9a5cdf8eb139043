"""A source whose models are served by another prefix cache than it says: what the same steps are billed elsewhere."""

from __future__ import annotations

import copy

from gym_stepwise_routing.costs.models import Caching
from gym_stepwise_routing.sources.contract import StepSource

__all__ = ["cached_by"]


def cached_by(source: StepSource, caching: Caching) -> StepSource:
    """The source with this caching for every model of its pool; steps, observations of them and prices stay.

    Args:
        source: a bank's, a simulator's or a live source; it is not changed.
        caching: what each model's prefix cache serves; :data:`gym_stepwise_routing.costs.models.IDEAL_CACHING` is what
            banks and presets are charged by otherwise.
    """
    other = copy.copy(source)
    other.pool = source.pool.cached_by(caching)
    return other
