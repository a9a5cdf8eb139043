"""Routers that are measured, not played: the same accuracy and cost, and the exact optimum lies between the bounds."""

from __future__ import annotations

import pytest
from exhaustive import Toy, belief_drafts, belief_route
from simulator_toys import toy

from gym_stepwise_routing.errors import NotApplicableError
from gym_stepwise_routing.planning import Planner
from gym_stepwise_routing.sources.simulator import SimulatorSource


@pytest.mark.parametrize(("mode", "models"), [("route", 2), ("route", 3), ("regenerate", 2)])
@pytest.mark.parametrize(("resolution", "apart"), [(3, 0.02), (16, 1e-3)])
def test_the_exact_optimum_lies_between_the_bounds(mode, models, resolution, apart):
    source = SimulatorSource(toy(models=models, horizon=2 if mode == "regenerate" else 3))
    by_hand = belief_drafts if mode == "regenerate" else belief_route
    planner = Planner(source, mode=mode, cost_unit="large_tokens", information="confidence", resolution=resolution)
    for multiplier in (0.05, 0.3, 1.0):
        exact = by_hand(Toy(source.process, "large_tokens", source), multiplier)
        measured = planner.measure(multiplier, episodes=500, seed=1)
        lower = measured.accuracy - multiplier * measured.mean_cost
        upper = planner.solve(multiplier).value
        assert lower - 4.5 * measured.value_error(multiplier) <= exact + 1e-9 <= upper + 2e-9
        assert upper - lower <= apart


@pytest.mark.parametrize(
    ("source", "mode", "unit", "information", "multiplier"),
    [
        ("gsm8k-like", "route", "large_tokens", "confidence", 0.3),
        ("gsm8k-like", "escalate", "large_tokens", "confidence", 0.3),
        ("gsm8k-like", "regenerate", "large_tokens", "length", 0.2),
        ("omni-like", "regenerate", "large_tokens", "confidence", 0.1),
        ("math-qwen2.5-3", "route", "large_tokens", "score", 0.05),
    ],
)
def test_measured_is_what_is_played_with_a_fraction_of_the_noise(source, mode, unit, information, multiplier):
    planner = Planner(source, mode=mode, cost_unit=unit, information=information, resolution=6)
    measured = planner.measure(multiplier, episodes=200, seed=1)
    played = planner.play(multiplier, episodes=20_000, seed=2)
    for few, many in ((measured.right, played.right), (measured.cost, played.cost)):
        error = (few.var(ddof=1) / len(few) + many.var(ddof=1) / len(many)) ** 0.5
        assert abs(few.mean() - many.mean()) < 4.5 * error
    assert measured.value_error(multiplier) < played.value_error(multiplier) / 3


@pytest.mark.parametrize(("unit", "information"), [("flops", "confidence"), ("large_tokens", "full")])
def test_what_cannot_be_measured_is_refused(unit, information):
    planner = Planner("gsm8k-like", cost_unit=unit, information=information, resolution=2)
    with pytest.raises(NotApplicableError, match=f"information='{information}', cost_unit='{unit}'"):
        planner.measure(0.3)
