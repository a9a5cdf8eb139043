"""The picture of the demo: accuracy against cost, every router with its interval, and the oracle's frontier."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from gym_stepwise_routing.baselines import AlwaysLargest, oracle_paths
from gym_stepwise_routing.costs.units import CostUnit
from gym_stepwise_routing.evaluation.bootstrap import Interval
from gym_stepwise_routing.evaluation.evaluate import Evaluation, play, threshold_grid
from gym_stepwise_routing.evaluation.frontier import oracle_frontier
from gym_stepwise_routing.game.game import Game
from gym_stepwise_routing.reporting.figures import BLACK, BLUE, GREEN, ORANGE, new_figure, save_figure
from gym_stepwise_routing.routers.base import Scores, ThresholdRouter, name_of

if TYPE_CHECKING:
    from studies.demo.demo import Line

__all__ = ["alone", "draw"]

COLOURS = {"constants": BLACK, "rules": BLUE, "agent": ORANGE, "bound": GREEN}


def alone(game: Game) -> Evaluation:
    """Always-largest on a game's problems, writing everything by itself: what a cost of 1 is."""
    return play(AlwaysLargest(), Game(replace(game.config, mode="route")))


def draw(
    path: Path,
    games: Mapping[str, Game],
    lines: Sequence[Line],
    swept: Sequence[Scores],
    units: Sequence[CostUnit],
    grid: int,
) -> None:
    """Write the picture, one panel a cost unit.

    Args:
        path: file to write.
        games: the game on every split.
        lines: routers to show as points with their intervals.
        swept: routers whose thresholds are shown as curves.
        units: cost units.
        grid: thresholds of a curve.
    """
    test = games["test"]
    largest = alone(test)
    curves = [
        [play(ThresholdRouter(router, t), test) for t in threshold_grid(router, games["train"], grid)]
        for router in swept
    ]
    title = f"{test.source.name}, n = {len(test.problems)} test problems, mode {test.config.mode}; 95 % intervals"
    figure, panels = new_figure(len(units), title=title)
    for panel, unit in zip(panels, units, strict=True):
        paths = oracle_paths(Game(test.config, cost_unit=unit, normaliser=None))
        frontier = oracle_frontier(paths.right, paths.any)
        panel.plot(frontier.costs, frontier.accuracies, color=GREEN, label="oracle frontier (a bound)")
        for router, plays in zip(swept, curves, strict=True):
            cost = np.array([run.costs[unit].mean() for run in plays]) / largest.costs[unit].mean()
            colour = BLUE if router is swept[-1] else ORANGE
            right = [run.accuracy for run in plays]
            panel.plot(cost, right, color=colour, lw=0.8, alpha=0.7, label=f"{name_of(router)}, every threshold")
        for group, colour in COLOURS.items():
            here = [line for line in lines if line.group == group]
            costs, rights = [line.costs[unit] for line in here], [line.accuracy for line in here]
            panel.errorbar(
                [cost.estimate for cost in costs],
                [right.estimate for right in rights],
                xerr=_arms(costs),
                yerr=_arms(rights),
                fmt="o",
                ms=4,
                color=colour,
                elinewidth=0.5,
                label=group,
            )
        panel.set(xlabel=f"cost in {unit} (always-largest = 1)", ylabel="accuracy", ylim=(0, None))
    by_name = dict(zip(*reversed(panels[0].get_legend_handles_labels()), strict=True))
    panels[0].legend(by_name.values(), by_name.keys(), fontsize=7, loc="lower right")
    save_figure(figure, path)


def _arms(intervals: Sequence[Interval]) -> np.ndarray:
    """Lengths of error bars, ``[2, n]``; an estimate may lie a hair outside its interval."""
    return np.maximum([[i.estimate - i.low for i in intervals], [i.high - i.estimate for i in intervals]], 0.0)
