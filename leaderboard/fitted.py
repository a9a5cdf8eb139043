"""Baselines with something to fit: fitted on a track's train split, with a fixed seed, whenever they are loaded."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from gym_stepwise_routing.comparison.roster import roster
from gym_stepwise_routing.costs.units import CostUnit
from gym_stepwise_routing.errors import check_choice
from gym_stepwise_routing.game.observation import check_blocks
from gym_stepwise_routing.leaderboard.entry import Json
from gym_stepwise_routing.leaderboard.entry_figures import play_constants
from gym_stepwise_routing.leaderboard.track import Track, View, game_of, open_track
from gym_stepwise_routing.routers.base import Predicts
from gym_stepwise_routing.types import Block

__all__ = ["BASELINES", "KEPT", "fitted"]

_PACKAGE = "gym_stepwise_routing.baselines."
BASELINES: Mapping[str, type] = {
    f"{router.__module__.removeprefix(_PACKAGE)}:{router.__name__}": router
    for router in (family.router for family in roster() if family.fitted)
    if router is not None and router.__module__.startswith(_PACKAGE)  # an entry must be played without other packages
}
"""What can be fitted: routers of the registry by ``module:class`` below ``gym_stepwise_routing.baselines``."""

KEPT = tuple(name for name, router in BASELINES.items() if hasattr(router, "restore"))
"""Those whose fit is kept in a file, since it is not the same to the last bit on another kind of processor."""


def fitted(
    baseline: str,
    track: str,
    observation: list[Block],
    price: float | None = None,
    path: Path | None = None,
    policy: str | None = None,
    **kwargs: Json,
) -> Predicts:
    """A baseline, fitted on the train split of a track.

    Args:
        baseline: one of :data:`BASELINES`.
        track: name of the track.
        observation: blocks that it sees.
        price: price of cost for those that weigh accuracy against cost, as a multiple of the rate at which
            always-largest buys accuracy over always-smallest on the train split.
        path: file with a fit that is taken over instead, for those of :data:`KEPT`.
        policy: name of the fit in a file of several.
        **kwargs: further arguments of the class.

    Raises:
        ValueError: an unknown baseline or track, or an argument out of range.
        NotApplicableError: the game lacks what the baseline needs.
    """
    check_choice("baseline", baseline, BASELINES)
    frozen = open_track(track)
    if price is not None:
        kwargs = {**kwargs, "price": price * exchange_rate(frozen, frozen.spec.cost_unit)}
    router: Any = BASELINES[baseline](**kwargs)
    if path is not None:
        check_choice("baseline with a file", baseline, KEPT)
        kept: Predicts = router.restore(path, policy)
        return kept
    made: Predicts = router.fit(game_of(frozen, View(observation=check_blocks(observation)), split="train"))
    return made


def exchange_rate(track: Track, unit: CostUnit) -> float:
    """Accuracy that always-largest buys over always-smallest for each unit of normalised cost on the train split.

    1 where it buys none, or is no dearer.
    """
    constants = play_constants(track, split="train")
    accuracy, cost = constants.right.mean(axis=1), constants.costs[unit].mean(axis=1)
    gain, gap = np.subtract(accuracy[-1], accuracy[0]), np.subtract(cost[-1], cost[0])
    return float(gain / gap) if gap > 0 and gain > 0 else 1.0
