"""Thresholds are chosen on the calibration split, whatever would be best on the track's own."""

from __future__ import annotations

import numpy as np
import pytest

from gym_stepwise_routing.baselines import ConfidenceThreshold
from gym_stepwise_routing.errors import NotApplicableError
from gym_stepwise_routing.evaluation import evaluate
from gym_stepwise_routing.leaderboard.entry import Selection
from gym_stepwise_routing.leaderboard.playing import select
from gym_stepwise_routing.leaderboard.track import PLAIN, game_of

GRID = np.linspace(0, 1, 21)


def along_the_grid(track, split):
    """Accuracy and cost at every threshold, each played by itself."""
    game = game_of(track, PLAIN, split=split)
    played = [evaluate(ConfidenceThreshold("p_min", threshold), game.config) for threshold in GRID.tolist()]
    return np.array([p.accuracy for p in played]), np.array([p.mean_cost for p in played])


def within_budget(accuracy, cost, budget):
    fine = [t for t in range(len(GRID)) if cost[t] <= budget]
    return GRID[max(fine, key=lambda t: (accuracy[t], -cost[t]))]


def above_accuracy(accuracy, cost, share):
    fine = [t for t in range(len(GRID)) if accuracy[t] >= share * accuracy[0]]
    return GRID[min(fine, key=lambda t: (cost[t], -accuracy[t]))]


@pytest.mark.parametrize(
    ("rule", "value", "by_hand"), [("budget", 0.7, within_budget), ("accuracy", 0.9, above_accuracy)]
)
def test_thresholds_are_chosen_on_the_calibration_split(rule, value, by_hand, track):
    chosen = select(track, ConfidenceThreshold("p_min", 0.5), GRID, PLAIN, Selection(rule=rule, value=value))
    calibration, test = (by_hand(*along_the_grid(track, split), value) for split in ("calibration", "test"))
    assert calibration != test, "the case could not tell the splits apart"
    assert chosen == calibration


def test_a_rule_that_no_threshold_satisfies(track):
    with pytest.raises(NotApplicableError, match=r"selection accuracy=10: no threshold satisfies it"):
        select(track, ConfidenceThreshold("p_min", 0.5), GRID, PLAIN, Selection(rule="accuracy", value=10.0))
