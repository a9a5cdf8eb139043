"""Optimal routers in the game itself: they reach what the planner promises, paid by the rules' own ledger."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from simulator_toys import toy

from gym_stepwise_routing.costs.models import Price
from gym_stepwise_routing.game.normaliser import always_largest_cost
from gym_stepwise_routing.planning import Planner
from gym_stepwise_routing.planning.cost_tables import StepCosts
from gym_stepwise_routing.sources.simulator import SimulatorSource

EPISODES = 40_000


@pytest.mark.parametrize(
    ("source", "mode", "unit", "information", "multiplier", "slack"),
    [
        ("gsm8k-like", "route", "flops", "full", 0.5, 0.001),
        ("gsm8k-like", "route", "latency", "confidence", 0.4, 0.001),
        ("gsm8k-like", "regenerate", "flops", "full", 0.9, 0.006),
        ("gsm8k-like", "regenerate", "flops", "confidence", 0.3, 0.002),
        ("math-qwen2.5", "escalate", "flops", "full", 0.3, 0.001),
        ("math-qwen2.5", "route", "large_tokens", "confidence", 0.3, 0.004),
        ("math-qwen2.5-3", "route", "flops", "full", 2.0, 0.004),
        ("omni-like", "regenerate", "large_tokens", "full", 0.2, 0.001),
        ("gsm8k-like", "restart", "flops", "full", 0.5, 0.001),
        ("gsm8k-like", "restart", "latency", "confidence", 0.4, 0.004),
        ("math-qwen2.5-3", "restart", "large_tokens", "length", 0.3, 0.004),
    ],
)
def test_play_reaches_the_promise(source, mode, unit, information, multiplier, slack):
    planner = Planner(source, mode=mode, cost_unit=unit, information=information, spacing=32 if "3" in source else 8)
    promised = planner.solve(multiplier)
    played = planner.play(multiplier, episodes=EPISODES, seed=1)
    worth = played.accuracy - multiplier * played.mean_cost
    error = played.value_error(multiplier)
    assert promised.value - slack - 4 * error <= worth <= promised.value + 4 * error


@pytest.mark.parametrize(("mode", "information"), [("route", "both"), ("regenerate", "score"), ("restart", "both")])
def test_scores_are_seen_and_paid_for(mode, information):
    source = SimulatorSource(toy(scores=True))
    planner = Planner(source, mode=mode, cost_unit="flops", information=information, resolution=6, spacing=2)
    for multiplier in (0.1, 0.4):
        played = planner.play(multiplier, episodes=EPISODES, seed=2)
        error = played.value_error(multiplier)
        worth = played.accuracy - multiplier * played.mean_cost
        promised = planner.solve(multiplier).value
        assert promised - 0.006 - 4 * error <= worth <= promised + 4 * error


@pytest.mark.parametrize("unit", ["flops", "large_tokens", "latency", "dollars"])
def test_normaliser_is_that_of_the_game(unit):
    source = SimulatorSource("gsm8k-like")
    estimate = always_largest_cost(source, source.problems("train"), unit)
    assert StepCosts.of(source, unit).normaliser == pytest.approx(estimate, rel=0.015)


def test_a_price_of_cached_tokens_is_refused():
    price = Price(input=1.0, cached_input=0.1, output=2.0, date="2026-01-01", source="made up")
    models = tuple(replace(model, price=price) for model in toy().models)
    with pytest.raises(ValueError, match="cached tokens have a price"):
        Planner(replace(toy(), models=models), cost_unit="dollars")


def test_scores_of_some_models_are_planned_with_where_no_reading_is_put_off():
    """What the verifier passes over it reads later, and no plan knows of that; it may be free, or read drafts alone."""
    source = toy(scores=True)
    source = replace(source, scores=replace(source.scores, scored=("m0",)))
    with pytest.raises(
        ValueError, match=r"of 'toy' is paid, and scores only steps of \['m0'\]; allowed: of all models"
    ):
        Planner(source, cost_unit="flops", information="score", resolution=2)
    Planner(source, cost_unit="large_tokens", information="score", resolution=2)
    planner = Planner(source, mode="regenerate", cost_unit="flops", information="score", resolution=6, spacing=2)
    played = planner.play(0.4, episodes=EPISODES, seed=2)
    error = played.value_error(0.4)
    promised = planner.solve(0.4).value
    assert promised - 0.006 - 4 * error <= played.accuracy - 0.4 * played.mean_cost <= promised + 4 * error


def test_play_is_a_function_of_the_seed():
    planner = Planner("gsm8k-like")
    first, again, other = (planner.play(0.3, episodes=500, seed=seed) for seed in (3, 3, 4))
    np.testing.assert_array_equal(first.cost, again.cost)
    assert not np.array_equal(first.cost, other.cost)
