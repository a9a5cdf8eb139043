"""The planner against brute force, on simulators small enough for it."""

from __future__ import annotations

import pytest
from exhaustive import Toy, belief_drafts, belief_restart, belief_route, full_drafts, full_restart, full_route
from simulator_toys import toy

from gym_stepwise_routing.planning.planner import Planner
from gym_stepwise_routing.sources.simulator.simulator_source import SimulatorSource
from gym_stepwise_routing.types import MODES

MULTIPLIERS = (0.0, 0.05, 0.3, 1.0, 3.0)


def game(unit, escalate=False, **options):
    source = SimulatorSource(toy(**options))
    return source, Toy(source.process, unit, source, escalate)


@pytest.mark.parametrize("unit", ["large_tokens", "flops"])
@pytest.mark.parametrize("models", [2, 3])
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("bound", ["lower", "upper"])
def test_full_information_is_exact(mode, models, unit, bound):
    source, brute = game(unit, escalate=mode == "escalate", models=models)
    planner = Planner(
        source, mode=mode, cost_unit=unit, information="full", spacing=1 if models == 2 else 2, bound=bound
    )
    assert planner.costs.normaliser == pytest.approx(brute.scale, rel=1e-12)
    by_hand = {"regenerate": full_drafts, "restart": full_restart}.get(mode, full_route)
    for multiplier in MULTIPLIERS:
        assert planner.solve(multiplier).value == pytest.approx(by_hand(brute, multiplier), abs=1e-12)


@pytest.mark.parametrize("unit", ["large_tokens", "flops"])
def test_belief_is_an_upper_bound_that_tightens_in_route(unit):
    source, brute = game(unit)
    coarse = Planner(source, cost_unit=unit, information="confidence", resolution=4, spacing=2)
    fine = Planner(source, cost_unit=unit, information="confidence", resolution=24, spacing=2)
    for multiplier in MULTIPLIERS:
        exact = belief_route(brute, multiplier)
        assert exact - 1e-9 <= fine.solve(multiplier).value <= exact + 3e-4
        assert exact - 1e-9 <= coarse.solve(multiplier).value <= exact + 2e-2


@pytest.mark.parametrize("unit", ["large_tokens", "flops"])
def test_belief_is_an_upper_bound_that_tightens_in_regenerate(unit):
    source, brute = game(unit, horizon=2)
    planner = Planner(source, mode="regenerate", cost_unit=unit, information="confidence", resolution=14, spacing=2)
    for multiplier in MULTIPLIERS:
        exact = belief_drafts(brute, multiplier)
        assert exact - 1e-9 <= planner.solve(multiplier).value <= exact + 1e-3


@pytest.mark.parametrize("unit", ["large_tokens", "flops"])
@pytest.mark.parametrize("models", [2, 3])
def test_belief_is_an_upper_bound_that_tightens_in_restart(unit, models):
    source, brute = game(unit, horizon=3 if models == 2 else 2, models=models)
    planner = Planner(source, mode="restart", cost_unit=unit, information="confidence", resolution=24)
    for multiplier in MULTIPLIERS:
        exact = belief_restart(brute, multiplier)
        assert exact - 1e-9 <= planner.solve(multiplier).value <= exact + 1e-3


@pytest.mark.parametrize("mode", MODES)
def test_more_information_is_worth_no_less(mode):
    source = SimulatorSource(toy(scores=True))
    worth = {
        kind: Planner(source, mode=mode, cost_unit="large_tokens", information=kind, resolution=6).solve(0.3).value
        for kind in ("full", "confidence", "length", "score")
    }
    assert worth["full"] >= worth["confidence"] - 1e-9
    assert worth["confidence"] >= worth["length"] - 1e-9
    assert worth["score"] >= worth["length"] - 1e-9  # the verifier is free in this unit


def test_lattice_bounds_enclose_and_close():
    source = SimulatorSource("gsm8k-like")
    gaps = []
    for spacing in (32, 8, 1):
        values = [
            Planner(source, mode="regenerate", cost_unit="flops", information="full", spacing=spacing, bound=bound)
            .solve(0.9)
            .value
            for bound in ("lower", "upper")
        ]
        gaps.append(values[1] - values[0])
    assert gaps[0] > gaps[1] > gaps[2] - 1e-12
    assert gaps[2] == pytest.approx(0, abs=1e-9)


def test_bad_arguments():
    with pytest.raises(ValueError, match="mode='rout'"):
        Planner("gsm8k-like", mode="rout")
    with pytest.raises(ValueError, match="information='all'"):
        Planner("gsm8k-like", information="all")
    with pytest.raises(ValueError, match="no verifier scores"):
        Planner("gsm8k-like", information="score")
    with pytest.raises(ValueError, match="spacing=0"):
        Planner("gsm8k-like", spacing=0)
    with pytest.raises(ValueError, match="bound='middle'"):
        Planner("gsm8k-like", bound="middle")
    planner = Planner(toy())
    for multiplier in (-1.0, float("inf"), float("nan")):
        with pytest.raises(ValueError, match="multiplier"):
            planner.solve(multiplier)
    with pytest.raises(ValueError, match="episodes=1"):
        planner.play(0.1, episodes=1)
