from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gym_stepwise_routing.baselines import AlwaysLargest, AlwaysModel, FirstKLarge
from gym_stepwise_routing.evaluation.bootstrap import bootstrap_mean
from gym_stepwise_routing.evaluation.frontier import zero_router_hull
from gym_stepwise_routing.leaderboard.entry_figures import (
    RESAMPLES,
    compute_figures,
    draw,
    hull_accuracy,
    play_constants,
)
from gym_stepwise_routing.leaderboard.playing import PlayedRouter, play_on
from gym_stepwise_routing.leaderboard.track import game_of, open_track

shares = st.floats(0, 1, allow_nan=False).map(lambda share: round(share, 3))


@given(st.lists(st.tuples(shares, shares), min_size=1, max_size=5), shares)
def test_the_hull_is_that_of_the_zero_router(models, at):
    costs, accuracies = np.array(models).T
    hull = zero_router_hull(costs, accuracies)
    expected = hull.accuracy(at)
    if expected is None:  # below the cheapest model it goes on flat
        expected = hull.accuracies[0]
    got = hull_accuracy(costs[:, None], accuracies[:, None], np.array([at]))
    assert got[0] == pytest.approx(expected, abs=1e-9)


def played(track, router):
    return PlayedRouter(play_on(track, router, game_of(track)), None, (), ())


@pytest.fixture(scope="module")
def route(tracks):
    return open_track("bank-route", tracks)


@pytest.mark.parametrize("model", [0, 1])
def test_constants_gain_nothing(route, model):
    figures = compute_figures(route, "x", [played(route, AlwaysModel(model))], play_constants(route))
    for values in figures.units.values():
        assert values.gain.value == values.gain.low == values.gain.high == 0


def test_always_largest_in_regenerate_pays_for_its_drafts_and_gains_less_than_nothing_or_nothing(track):
    figures = compute_figures(track, "x", [played(track, AlwaysLargest())], play_constants(track))
    assert figures.units["flops"].cost.value > 1
    assert figures.units["flops"].gain.value <= 0
    assert figures.harm.value == 0


def test_figures_by_hand(route):
    run = played(route, FirstKLarge(2))
    constants = play_constants(route)
    figures = compute_figures(route, "x", [run], constants)
    right, cost = run.outcome.right.mean(), run.outcome.costs["flops"].mean() / route.normalisers["flops"]
    (c0, c1), (a0, a1) = constants.costs["flops"].mean(axis=1), constants.right.mean(axis=1)
    chord = a1 if cost >= c1 else a0 + (a1 - a0) * (cost - c0) / (c1 - c0)
    assert figures.accuracy.value == pytest.approx(right)
    assert figures.units["flops"].cost.value == pytest.approx(cost)
    assert figures.units["flops"].gain.value == pytest.approx(right - chord)
    assert figures.harm.value == pytest.approx((constants.right[1] & ~run.outcome.right).mean())
    assert figures.units["large_tokens"].raw_cost == pytest.approx(run.outcome.costs["large_tokens"].mean())


def test_intervals_are_those_of_the_bootstrap(route):
    run = played(route, FirstKLarge(2))
    figures = compute_figures(route, "x", [run], play_constants(route))
    expected = bootstrap_mean(run.outcome.right, resamples=RESAMPLES, rng=0)
    assert figures.accuracy.low == pytest.approx(expected.low, abs=1e-9)
    assert figures.accuracy.high == pytest.approx(expected.high, abs=1e-9)


def test_draws_of_two_entries_are_paired(route):
    """The same router under two names: no resample tells them apart."""
    run, constants = [played(route, FirstKLarge(2)).outcome], play_constants(route)
    one, other = draw(route, "one", run, constants)[1], draw(route, "other", run, constants)[1]
    assert np.allclose(one.gains["flops"], other.gains["flops"], atol=1e-12)
    assert one.accuracy.std() > 0


def test_several_runs_are_averaged_and_their_spread_counts(route):
    constants = play_constants(route)
    runs = [played(route, AlwaysModel(0)), played(route, AlwaysModel(1))]
    both = compute_figures(route, "x", runs, constants)
    single = [compute_figures(route, "x", [run], constants).accuracy for run in runs]
    assert both.accuracy.value == pytest.approx((single[0].value + single[1].value) / 2)
    assert both.accuracy.low < single[0].high
    assert both.accuracy.high > single[1].low
