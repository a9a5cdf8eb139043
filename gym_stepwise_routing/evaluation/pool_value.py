"""What a pool of two models could save at most: from how often each is right, what it costs, and how they overlap."""

from __future__ import annotations

import math
from dataclasses import dataclass

__all__ = ["PoolValue", "pool_value"]


@dataclass(frozen=True, slots=True)
class PoolValue:
    """What an oracle that picks one model for each whole problem reaches. Costs are multiples of always-largest's.

    Attributes:
        accuracy: share of the problems that some model solves: the most that any choice between whole answers reaches.
        cost: least cost at which every problem that some model solves is solved.
        wanted: the accuracy that is to be kept.
        kept_cost: least cost at which ``wanted`` is reached.
        saving: ``1 - kept_cost``.
    """

    accuracy: float
    cost: float
    wanted: float
    kept_cost: float
    saving: float


def pool_value(small: float, large: float, both: float, *, small_cost: float = 0.0, keep: float = 1.0) -> PoolValue:
    """Best that an oracle can do with two models, if problems cost the same on average whoever solves them.

    Args:
        small: share of the problems that the smaller model solves alone, in [0, 1].
        large: the same of the larger model.
        both: share that both solve, at most the lesser of the two shares and at least ``small + large - 1``.
        small_cost: cost of the smaller model, of that of the larger one, in [0, 1].
        keep: share of the larger model's accuracy that is to be kept, in [0, 1].

    Raises:
        ValueError: a share out of its range.
    """
    shares = {"small": small, "large": large, "small_cost": small_cost, "keep": keep}
    for name, value in shares.items():
        if not (math.isfinite(value) and 0 <= value <= 1):
            raise ValueError(f"{name}={value!r}; allowed: a number from 0 to 1")
    least, most = max(0.0, small + large - 1), min(small, large)
    if not least - 1e-9 <= both <= most + 1e-9:
        raise ValueError(f"both={both!r} with small={small!r} and large={large!r}; allowed: {least:.3g} to {most:.3g}")
    wanted = keep * large
    asked = max(0.0, wanted - small)  # share of the problems that the larger model has to answer
    kept_cost = small_cost + (1 - small_cost) * asked
    return PoolValue(
        accuracy=small + large - both,
        cost=small_cost + (1 - small_cost) * (large - both),
        wanted=wanted,
        kept_cost=kept_cost,
        saving=1 - kept_cost,
    )
