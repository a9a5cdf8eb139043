"""A router played on a track: at its own threshold or a calibrated one, and along a sweep of thresholds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gym_stepwise_routing.baselines import oracle
from gym_stepwise_routing.errors import NotApplicableError
from gym_stepwise_routing.evaluation.evaluate import Evaluation, play, sweep, threshold_grid
from gym_stepwise_routing.game.game import Game
from gym_stepwise_routing.leaderboard.entry import Selection
from gym_stepwise_routing.leaderboard.track import Track, View, game_of
from gym_stepwise_routing.routers.base import Predicts, Scores, ThresholdRouter

__all__ = ["ORACLE", "PlayedRouter", "at_threshold", "play_bound", "play_on", "play_router", "select"]

GRID = 24
"""Quantiles in the grid of a sweep."""
ORACLE = "gym_stepwise_routing.baselines:oracle"
"""The factory that bounds name: no router, so it is played by the board itself."""


@dataclass(frozen=True, slots=True, eq=False)
class PlayedRouter:
    """What a router did.

    Attributes:
        outcome: at its own or its calibrated threshold.
        threshold: the calibrated threshold; None if the router decides by itself.
        thresholds: the sweep's thresholds, ascending; empty without a sweep.
        points: the outcome at each of them.
    """

    outcome: Evaluation
    threshold: float | None
    thresholds: tuple[float, ...]
    points: tuple[Evaluation, ...]


def play_on(track: Track, router: Predicts, game: Game) -> Evaluation:
    """One play with the track's seed."""
    return play(router, game, seed=track.spec.seed)


def play_router(
    track: Track,
    router: Predicts,
    *,
    view: View,
    selection: Selection | None,
) -> PlayedRouter:
    """Play a router on a track.

    Args:
        track: the track.
        router: the router.
        view: what it is shown.
        selection: how its threshold is chosen on the calibration split; None if it decides by itself.

    Raises:
        NotApplicableError: the router needs what the game does not have, or has no scores to select by.
    """
    game = game_of(track, view)
    if not isinstance(router, Scores):
        if selection is not None:
            raise NotApplicableError(f"selection={selection.rule!r} needs a router with scores(observation)")
        return PlayedRouter(play_on(track, router, game), None, (), ())
    grid = threshold_grid(router, game_of(track, view, split="train"), GRID, seed=track.spec.seed)
    threshold = None if selection is None else select(track, router, grid, view, selection)
    points = tuple(play_on(track, ThresholdRouter(router, float(t)), game) for t in grid)
    return PlayedRouter(
        play_on(track, at_threshold(router, threshold), game), threshold, tuple(map(float, grid)), points
    )


def at_threshold(router: Predicts, threshold: float | None) -> Predicts:
    """The router at a threshold; as it is without one, or if it has no scores."""
    return ThresholdRouter(router, threshold) if threshold is not None and isinstance(router, Scores) else router


def select(track: Track, router: Scores, thresholds: NDArray[np.float64], view: View, selection: Selection) -> float:
    """The threshold that a selection rule picks on the calibration split.

    Raises:
        NotApplicableError: no threshold satisfies the rule there.
    """
    game = game_of(track, view, split="calibration")
    outcome = sweep(router, game, thresholds, seed=track.spec.seed)
    right, cost = outcome.right.mean(axis=1), outcome.cost.mean(axis=1)
    if selection.rule == "budget":
        fine = np.flatnonzero(cost <= selection.value)
        quality = np.stack([-cost, right])
    else:
        # The grid begins with threshold 0, which is always-largest.
        fine = np.flatnonzero(right >= selection.value * right[0])
        quality = np.stack([right, -cost])
    if len(fine) == 0:
        raise NotApplicableError(
            f"selection {selection.rule}={selection.value:g}: no threshold satisfies it on the calibration split"
        )
    best = fine[np.lexsort(quality[:, fine])[-1]]
    return float(outcome.thresholds[best])


def play_bound(track: Track) -> PlayedRouter:
    """The oracle: for each problem the cheapest recorded path that is right.

    Raises:
        NotApplicableError: a game whose best paths nobody knows.
    """
    return PlayedRouter(oracle(game_of(track)), None, (), ())
