"""What always-largest costs, and how budgets are drawn. Bad arguments are in envs/test_bad_input."""

from __future__ import annotations

import numpy as np
import pytest
from fake_sources import TreeSource, Untabulated
from reference import ReferencePlay

from gym_stepwise_routing.baselines import AlwaysLargest
from gym_stepwise_routing.costs.units import COST_UNITS, cost_weights
from gym_stepwise_routing.evaluation.evaluate import evaluate, play
from gym_stepwise_routing.game.config import draw_budgets
from gym_stepwise_routing.game.game import Game
from gym_stepwise_routing.game.normaliser import always_largest_cost
from gym_stepwise_routing.types import MODES

BLOCKS = ("progress", "probe", "verifier")


@pytest.mark.parametrize("unit", COST_UNITS)
@pytest.mark.parametrize("mode", MODES)
def test_the_normaliser_is_the_mean_cost_of_always_largest_without_drafts_probes_and_verifier(mode, unit):
    source = TreeSource(4, models=3, problems=12, verifier=True)
    weights, costs = cost_weights(unit, source.pool), []
    for problem in source.problems("train"):
        reference = ReferencePlay(source, int(problem), mode="route", probing=False, scoring=False)
        while any(reference.mask()):
            reference.step(2)
        costs.append(reference.cost(weights))
    assert Game(source, mode=mode, cost_unit=unit, observation=BLOCKS).normaliser == pytest.approx(np.mean(costs))


@pytest.mark.parametrize("split", ["train", "calibration", "test"])
@pytest.mark.parametrize("unit", COST_UNITS)
def test_always_largest_costs_one_on_average_over_the_split(split, unit):
    for mode in ("route", "escalate"):
        result = evaluate(AlwaysLargest(), split=split, mode=mode, cost_unit=unit)
        assert result.mean_cost == pytest.approx(1.0)


def test_a_random_source_is_sampled():
    source = TreeSource(4, problems=12)
    exact = always_largest_cost(source, source.problems("train"), "flops")
    sampled = always_largest_cost(Untabulated(source), source.problems("train"), "flops")
    assert sampled == pytest.approx(exact, rel=0.02)
    assert sampled != exact
    assert sampled == always_largest_cost(Untabulated(source), source.problems("train"), "flops")


def test_where_the_largest_was_not_recorded_the_next_smaller_one_writes():
    source = TreeSource(4, models=3, problems=3)
    source.child[:, 2] = -1
    weights = cost_weights("flops", source.pool)
    reference = ReferencePlay(source, 0, mode="route", probing=False, scoring=False)
    while any(reference.mask()):
        reference.step(1)
    assert Game(source, cost_unit="flops").normaliser == pytest.approx(reference.cost(weights))


def test_a_bank_recorded_in_one_mode_alone_can_be_played_in_it():
    source = TreeSource(4)
    source.modes = ("regenerate",)
    assert Game(source, mode="regenerate").normaliser == Game(TreeSource(4)).normaliser


def test_always_largest_must_cost_something():
    source = TreeSource()
    source.tokens[:] = 0
    with pytest.raises(ValueError, match=r"cost_unit='large_tokens': always-largest costs 0.0; allowed: > 0"):
        Game(source, cost_unit="large_tokens")


def test_a_live_source_needs_a_normaliser():
    source = TreeSource()
    source.kind = "live"
    with pytest.raises(ValueError, match="normaliser=None with a live source; allowed: the cost of always-largest"):
        Game(source)
    assert Game(source, normaliser=3.0).normaliser == 3.0


def test_budgets_of_a_range_are_drawn_for_each_problem_and_repeat_under_a_seed():
    game = Game(TreeSource(0, problems=300), budget=(0.2, 0.4), hard_budget=True)
    budgets = draw_budgets(game.budget, 1000, np.random.default_rng(0))
    assert 0.2 <= budgets.min() < 0.21
    assert 0.39 < budgets.max() <= 0.4
    first, second = play(AlwaysLargest(), game, seed=1), play(AlwaysLargest(), game, seed=1)
    np.testing.assert_array_equal(first.bankrupt, second.bankrupt)
    assert (first.bankrupt != play(AlwaysLargest(), game, seed=2).bankrupt).any()


def test_what_a_router_may_know():
    spec = Game(TreeSource(models=3), mode="escalate", cost_unit="latency").spec
    assert (spec.models, spec.mode, spec.cost_unit, spec.horizon) == (("m0", "m1", "m2"), "escalate", "latency", 3)
    assert (spec.source, spec.simulated) == ("fake-tree", True)
    assert spec.feature_names[0] == "depth"
