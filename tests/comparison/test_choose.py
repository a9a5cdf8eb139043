"""Which point of a curve is chosen."""

from __future__ import annotations

import numpy as np
import pytest

from gym_stepwise_routing.comparison.choose import Rule
from gym_stepwise_routing.comparison.contenders import Points
from gym_stepwise_routing.evaluation.curves import Anchors

ANCHORS = Anchors(cost_small=0.1, accuracy_small=0.2, cost_large=2.0, accuracy_large=0.8)


def points(*pairs):
    cost, accuracy = np.array(pairs).T
    return Points(right=np.stack([accuracy, accuracy], axis=1), cost=np.stack([cost, cost], axis=1))


def test_the_cheapest_that_is_accurate_enough():
    curve = points((2.0, 0.8), (0.9, 0.76), (0.5, 0.7), (0.9, 0.79), (1.5, 0.9))
    assert Rule("accuracy", 0.95).choose(curve, ANCHORS) == 3  # of two at one cost the more accurate
    assert Rule("accuracy", 0.8).choose(curve, ANCHORS) == 2
    assert Rule("accuracy", 1.2).choose(curve, ANCHORS) is None


def test_the_most_accurate_within_a_budget():
    curve = points((2.0, 0.9), (1.0, 0.7), (0.8, 0.7), (0.5, 0.6))
    assert Rule("budget", 0.5).choose(curve, ANCHORS) == 2  # of two as accurate the cheaper
    assert Rule("budget", 1.0).choose(curve, ANCHORS) == 0
    assert Rule("budget", 0.2).choose(curve, ANCHORS) is None


def test_rules_say_what_they_are():
    assert str(Rule()) == "cheapest point with at least 95% of always-largest's accuracy"
    assert str(Rule("budget", 0.4)) == "most accurate point at no more than 40% of always-largest's cost"
    with pytest.raises(ValueError, match="kind='cost' is not known"):
        Rule("cost", 0.4)
    with pytest.raises(ValueError, match=r"level=0; allowed: a finite share > 0 of always-largest's accuracy"):
        Rule("accuracy", 0)
