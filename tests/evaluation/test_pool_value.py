"""What an oracle could save with two models, against brute force over problems, and bad figures."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from gym_stepwise_routing.evaluation.pool_value import pool_value
from studies.pools import exact_saving


@pytest.mark.parametrize("seed", range(8))
def test_it_is_the_best_of_all_choices(seed):
    rng = np.random.default_rng(seed)
    n = 9
    right = rng.random((2, n)) < np.array([[0.4], [0.7]])
    price = float(rng.random())
    found = []
    for choice in product((0, 1), repeat=n):
        picked = np.array(choice)
        found.append((right[picked, np.arange(n)].mean(), np.where(picked, 1.0, price).mean()))
    small, large = right.mean(axis=1)
    for keep in (0.5, 0.9, 1.0):
        value = pool_value(small, large, right.all(axis=0).mean(), small_cost=price, keep=keep)
        asked = np.ceil(n * value.wanted - 1e-9) / n  # whole problems
        best = min(cost for accuracy, cost in found if accuracy >= asked - 1e-9)
        assert value.kept_cost <= best + 1e-9
        assert best - value.kept_cost <= (1 - price) / n
        assert exact_saving(right, np.repeat([[price], [1.0]], n, axis=1), keep) == pytest.approx(1 - best)
    assert value.accuracy == pytest.approx(max(accuracy for accuracy, _ in found))
    assert value.cost == pytest.approx(min(cost for accuracy, cost in found if accuracy > value.accuracy - 1e-9))


def test_always_smallest_may_be_enough():
    value = pool_value(0.8, 0.7, 0.6, small_cost=0.2)
    assert value.saving == pytest.approx(0.8)
    assert value.accuracy == pytest.approx(0.9)


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        ({"small": 1.2}, "small=1.2; allowed: a number from 0 to 1"),
        ({"large": float("nan")}, "large=nan; allowed"),
        ({"small_cost": -0.1}, "small_cost=-0.1; allowed"),
        ({"keep": 2}, "keep=2; allowed"),
        ({"both": 0.5}, "both=0.5 with small=0.4 and large=0.8; allowed: 0.2 to 0.4"),
        ({"both": 0.1}, "allowed: 0.2 to 0.4"),
    ],
)
def test_figures_that_cannot_be(given, fault):
    with pytest.raises(ValueError, match="allowed") as told:
        pool_value(**{"small": 0.4, "large": 0.8, "both": 0.3} | given)
    assert fault in str(told.value)
