"""The verified entries of one track, with ranks, ties and the lines that they are held against."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from gym_stepwise_routing.baselines import knows_paths, oracle_paths
from gym_stepwise_routing.costs.units import CostUnit
from gym_stepwise_routing.evaluation.frontier import Frontier, oracle_frontier, zero_router_hull
from gym_stepwise_routing.leaderboard.checking import Rerun, Verdict
from gym_stepwise_routing.leaderboard.entry import Entry
from gym_stepwise_routing.leaderboard.entry_figures import LEVEL, Constants, Point, draw
from gym_stepwise_routing.leaderboard.playing import PlayedRouter
from gym_stepwise_routing.leaderboard.track import Track, game_of

__all__ = ["Board", "BoardRow", "Standing", "UnitLines", "make_board"]

_SAME = 1e-9
"""Differences of gains below this are rounding."""


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a row stands in one cost unit.

    Attributes:
        best: best rank that the intervals allow: 1 + the number of routers that are better beyond doubt.
        worst: worst rank that they allow. None, as ``best``, for references, bounds and what was not run again.
        tied: names of the rows from which this one cannot be told apart, by the paired interval of the difference of
            their gains.
    """

    best: int | None
    worst: int | None
    tied: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class BoardRow:
    """One row of a board.

    Attributes:
        entry: the verified entry.
        rerun: whether its router was run again.
        standings: by cost unit.
        sweeps: the sweep of each run; empty without scores.
        runs: what the decisions of each run lead to.
    """

    entry: Entry
    rerun: Rerun
    standings: Mapping[CostUnit, Standing]
    sweeps: tuple[tuple[Point, ...], ...]
    runs: tuple[PlayedRouter, ...]


@dataclass(frozen=True, slots=True, eq=False)
class UnitLines:
    """The lines of the picture in one cost unit.

    Attributes:
        constants: mean cost and accuracy of each model alone, smallest first.
        hull: what mixing them at random attains.
        oracle: what no router can beat; None of a game whose best paths nobody knows.
    """

    constants: tuple[tuple[float, float], ...]
    hull: Frontier
    oracle: Frontier | None


@dataclass(frozen=True, slots=True, eq=False)
class Board:
    """One track's board.

    Attributes:
        track: the track.
        constants: the models played alone.
        rows: the entries, by their gain in the track's unit, best first.
        lines: lines of the picture, by cost unit.
    """

    track: Track
    constants: Constants
    rows: tuple[BoardRow, ...]
    lines: Mapping[CostUnit, UnitLines]


def make_board(track: Track, verdicts: Sequence[Verdict]) -> Board:
    """The board of verified entries.

    Args:
        track: the track.
        verdicts: one an entry, all of them on this track, at least one.
    """
    constants = verdicts[0].constants
    outcomes = {verdict.entry.name: [run.outcome for run in verdict.runs] for verdict in verdicts}
    draws = {name: draw(track, name, played, constants)[1] for name, played in outcomes.items()}
    # Decisions that nobody has seen the router take are its authors' word: shown, but not ranked.
    ranked = [v.entry.name for v in verdicts if v.entry.kind == "router" and v.rerun == "done"]
    standings = {unit: rank({name: drawn.gains[unit] for name, drawn in draws.items()}, ranked) for unit in track.units}
    rows = [
        BoardRow(
            entry=verdict.entry,
            rerun=verdict.rerun,
            standings={unit: standings[unit][verdict.entry.name] for unit in track.units},
            sweeps=verdict.sweeps,
            runs=verdict.runs,
        )
        for verdict in verdicts
    ]
    own = track.spec.cost_unit
    # What was not run again may say anything of its gain: it stands below all that was.
    rows.sort(key=lambda row: (row.rerun != "done", -_number(row.entry.figures.units[own].gain.value), row.entry.name))
    lines = {
        unit: _lines(track, unit, constants.costs[unit].mean(axis=1), constants.right.mean(axis=1))
        for unit in track.units
    }
    return Board(track, constants, tuple(rows), lines)


def rank(gains: Mapping[str, NDArray[np.float64]], ranked: Sequence[str]) -> dict[str, Standing]:
    """Ranks and ties from resampled gains.

    Two rows differ beyond doubt if the percentile interval of the difference of their gains, over the same resamples,
    leaves out 0. Intervals are not corrected for the number of comparisons.

    Args:
        gains: by name, ``float64[R]``; draw ``r`` is the same resample of the problems for every name.
        ranked: names that have a rank.
    """
    names = list(gains)
    better = np.zeros((len(names), len(names)), dtype=np.bool_)
    for i, j in combinations(range(len(names)), 2):
        difference = gains[names[i]] - gains[names[j]]
        # The order statistics of evaluation.bootstrap.percentile_interval, without sorting 10,000 numbers a pair.
        outside = int(np.floor((1 - LEVEL) / 2 * (len(difference) - 1)))
        low, high = np.partition(difference, [outside, -1 - outside])[[outside, -1 - outside]]
        better[i, j], better[j, i] = low > _SAME, high < -_SAME
    competing = np.array([name in ranked for name in names])
    standings = {}
    for i, name in enumerate(names):
        tied = tuple(other for j, other in enumerate(names) if j != i and not (better[i, j] or better[j, i]))
        best = 1 + int((better[:, i] & competing).sum())
        worst = int(competing.sum()) - int((better[i] & competing).sum())
        standings[name] = Standing(best, worst, tied) if name in ranked else Standing(None, None, tied)
    return standings


def _lines(track: Track, unit: CostUnit, costs: NDArray[np.float64], accuracies: NDArray[np.float64]) -> UnitLines:
    oracle = None
    game = game_of(track, cost_unit=unit)
    if knows_paths(game):
        paths = oracle_paths(game)
        oracle = oracle_frontier(paths.right, paths.any)
    return UnitLines(
        constants=tuple(zip(costs.tolist(), accuracies.tolist(), strict=True)),
        hull=zero_router_hull(costs, accuracies),
        oracle=oracle,
    )


def _number(value: float | str) -> float:
    return float("inf") if isinstance(value, str) else value
