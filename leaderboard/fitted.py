"""Baselines with something to fit: fitted on a track's train split, with a fixed seed, whenever they are loaded."""

from __future__ import annotations

import importlib
from pathlib import Path

import numpy as np

from gym_stepwise_routing.costs.units import CostUnit
from gym_stepwise_routing.errors import check_choice
from gym_stepwise_routing.game.observation import check_blocks
from gym_stepwise_routing.leaderboard.entry import Json
from gym_stepwise_routing.leaderboard.entry_figures import play_constants
from gym_stepwise_routing.leaderboard.track import Track, View, game_of, open_track
from gym_stepwise_routing.routers.base import Predicts
from gym_stepwise_routing.types import Block

__all__ = ["BASELINES", "KEPT", "fitted"]

_PACKAGE = "gym_stepwise_routing.baselines"
BASELINES = (
    "steer:Steer",
    "two_part_risk:TwoPartRisk",
    "heuristics:LengthRule",
    "heuristics:LoopRule",
    "query_classifier:QueryClassifier",
    "fitted_q:FittedQ",
    "sacpo:Reweighted",
    "trim_agg:TrimAgg",
    "trim_pomdp:TrimPomdp",
)
"""What can be fitted: ``module:class`` below ``gym_stepwise_routing.baselines``."""


KEPT = ("trim_agg:TrimAgg",)
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
    module, _, name = baseline.partition(":")
    frozen = open_track(track)
    if price is not None:
        kwargs = {**kwargs, "price": price * exchange_rate(frozen, frozen.spec.cost_unit)}
    router = getattr(importlib.import_module(f"{_PACKAGE}.{module}"), name)(**kwargs)
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
