"""What costs are measured by: the mean cost of letting the largest model write everything."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gym_stepwise_routing.costs.units import CostUnit
from gym_stepwise_routing.game.transitions import Rules
from gym_stepwise_routing.sources.contract import StepSource

__all__ = ["always_largest_cost"]

REFERENCE_EPISODES = 20_000
"""Episodes of always-largest that estimate the normaliser of a random source."""


def always_largest_cost(source: StepSource, problems: NDArray[np.int64], cost_unit: CostUnit) -> float:
    """Mean cost of letting the largest model write everything, in the cost unit: what normalised costs are measured by.

    It is the same in every mode (no drafts, probes or verifier), so that costs can be compared between modes. Random
    sources are sampled with a fixed seed. Where the largest model is not available, the next smaller one writes.

    Raises:
        ValueError: no problems, always-largest costs nothing, or a bank made from a log, which does not hold it.
    """
    bank = getattr(source, "bank", None)
    if bank is not None and bank.manifest.served is not None:
        raise ValueError(
            f"normaliser=None with bank {source.name!r}, which was made from a log and holds only steps that were "
            "taken; allowed: the cost of always-largest, e.g. that of the bank that the router was calibrated on"
        )
    # every recorded mode holds this path, whatever else it leaves out
    rules = Rules(source, mode="route", observation=("progress",), cost_unit=cost_unit)
    rng = np.random.default_rng(0)
    chosen = problems if source.deterministic else rng.choice(problems, REFERENCE_EPISODES)
    play = rules.start(chosen, rng)
    total = 0.0
    while len(play):
        masks = rules.masks(play)
        alive = masks.any(axis=1)
        total += float(rules.cost(play)[~alive].sum())
        largest = masks.shape[1] - 1 - np.argmax(masks[:, ::-1], axis=1)
        rows = np.flatnonzero(alive)
        if len(rows) == 0:
            break
        play = rules.step(play.take(rows), largest[rows], rng)
    if total <= 0:
        raise ValueError(f"source={source.name!r}, cost_unit={cost_unit!r}: always-largest costs {total}; allowed: > 0")
    return total / len(chosen)
