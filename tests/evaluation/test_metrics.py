"""Every metric against an answer worked out by hand, its undefined cases, and properties that must always hold."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gym_stepwise_routing.evaluation import frontier, metrics
from gym_stepwise_routing.evaluation.curves import TOLERANCE
from gym_stepwise_routing.evaluation.metrics import Anchors

ANCHORS = Anchors(cost_small=0.2, accuracy_small=0.5, cost_large=1.0, accuracy_large=0.9)
# Cost shares .25, .5, .75 and PGR .5, .25, 1: a curve with a dip, given out of order.
COSTS, ACCURACIES = [0.8, 0.4, 0.6], [0.9, 0.7, 0.6]

FLAT = Anchors(cost_small=0.2, accuracy_small=0.9, cost_large=1.0, accuracy_large=0.9)
INVERTED = Anchors(cost_small=0.2, accuracy_small=0.9, cost_large=1.0, accuracy_large=0.5)
SAME_COST = Anchors(cost_small=1.0, accuracy_small=0.5, cost_large=1.0, accuracy_large=0.9)

points = st.lists(st.tuples(st.floats(0.0, 2.0), st.floats(0.0, 1.0)), min_size=1, max_size=8)


def columns(sweep: list[tuple[float, float]]) -> tuple[list[float], list[float]]:
    return [cost for cost, _ in sweep], [accuracy for _, accuracy in sweep]


class TestByHand:
    def test_pgr(self):
        assert metrics.pgr(0.7, ANCHORS) == pytest.approx(0.5)
        assert metrics.pgr(0.4, ANCHORS) == pytest.approx(-0.25)
        assert metrics.pgr(1.0, ANCHORS) == pytest.approx(1.25)

    def test_apgr_is_the_trapezoid_between_the_anchors(self):
        by_hand = 0.25 * ((0 + 0.5) / 2 + (0.5 + 0.25) / 2 + (0.25 + 1) / 2 + (1 + 1) / 2)
        assert by_hand == 0.5625
        assert metrics.apgr(COSTS, ACCURACIES, ANCHORS) == pytest.approx(by_hand)

    def test_aiq_is_the_area_under_the_envelope(self):
        # The envelope skips the dip at share .5: (0, .5), (.25, .7), (.75, .9), (1, .9).
        by_hand = 0.25 * (0.5 + 0.7) / 2 + 0.5 * (0.7 + 0.9) / 2 + 0.25 * 0.9
        assert metrics.aiq(COSTS, ACCURACIES, ANCHORS) == pytest.approx(by_hand)

    def test_aiq_does_not_decrease_after_the_best_point(self):
        # One point above always-largest: (0, .5), (.5, 1), flat to the end although A_s = .9.
        assert metrics.aiq([0.6], [1.0], ANCHORS) == pytest.approx(0.5 * 0.75 + 0.5 * 1.0)

    @pytest.mark.parametrize(("x", "expected"), [(0.25, 0.25), (0.5, 0.25), (0.51, 0.75), (1.0, 0.75), (1.01, None)])
    def test_cpt(self, x: float, expected: float | None):
        assert metrics.cpt(COSTS, ACCURACIES, ANCHORS, x=x) == (None if expected is None else pytest.approx(expected))

    def test_ibc(self):
        assert metrics.ibc(0.4, 0.7, ANCHORS) == pytest.approx(0.2 / 0.2)
        assert metrics.delta_ibc(0.4, 0.7, ANCHORS) == pytest.approx((1.0 - 0.5) / 0.5)
        assert metrics.ibc(0.6, 0.4, ANCHORS) == pytest.approx(-0.1 / 0.4)
        assert metrics.delta_ibc(1.0, 0.9, ANCHORS) == pytest.approx(0.0)

    @pytest.mark.parametrize(("budget", "expected"), [(0.39, None), (0.4, 0.7), (0.6, 0.7), (0.8, 0.9), (5.0, 0.9)])
    def test_accuracy_at(self, budget: float, expected: float | None):
        assert metrics.accuracy_at(COSTS, ACCURACIES, ANCHORS, budget=budget) == expected

    def test_accuracy_at_is_relative_to_the_large_models_cost(self):
        dear = Anchors(cost_small=0.2, accuracy_small=0.5, cost_large=2.0, accuracy_large=0.9)
        assert metrics.accuracy_at(COSTS, ACCURACIES, dear, budget=0.2) == 0.7

    @pytest.mark.parametrize(("share", "expected"), [(0.5, 0.4), (0.75, 0.4), (0.8, 0.8), (1.0, 0.8), (1.05, None)])
    def test_cost_at(self, share: float, expected: float | None):
        assert metrics.cost_at(COSTS, ACCURACIES, ANCHORS, share=share) == expected

    def test_cost_save(self):
        assert metrics.cost_save(COSTS, ACCURACIES, ANCHORS) == pytest.approx(0.2)
        assert metrics.cost_save([1.3], [0.95], ANCHORS) == pytest.approx(-0.3)
        assert metrics.cost_save([0.4], [0.7], ANCHORS) is None


class TestEndsOfTheInterval:
    def test_the_anchors_are_added_to_every_sweep(self):
        # A single fixed point: from always-smallest up to it, and on to always-largest.
        assert metrics.apgr([0.6], [0.9], ANCHORS) == pytest.approx(0.5 * 0.5 + 0.5 * 1.0)

    def test_a_sweep_that_holds_the_anchors_is_not_changed(self):
        with_anchors = metrics.apgr([*COSTS, 0.2, 1.0], [*ACCURACIES, 0.5, 0.9], ANCHORS)
        assert with_anchors == metrics.apgr(COSTS, ACCURACIES, ANCHORS)

    def test_a_point_below_the_interval_is_moved_up_to_its_start(self):
        # (0.1, .7) is played at C_w: PGR starts at .5 and rises straight to 1.
        assert metrics.apgr([0.1], [0.7], ANCHORS) == pytest.approx(0.75)
        assert metrics.aiq([0.1], [0.7], ANCHORS) == pytest.approx(0.8)
        assert metrics.cpt([0.1], [0.7], ANCHORS, x=0.5) == 0.0
        # A cheap and bad one changes nothing: always-smallest is as cheap and better.
        assert metrics.apgr([0.1], [0.3], ANCHORS) == pytest.approx(0.5)

    def test_a_point_above_the_interval_is_dropped(self):
        for accuracy in (0.0, 1.0):
            assert metrics.apgr([*COSTS, 1.7], [*ACCURACIES, accuracy], ANCHORS) == pytest.approx(0.5625)
            assert metrics.aiq([*COSTS, 1.7], [*ACCURACIES, accuracy], ANCHORS) == pytest.approx(0.775)

    def test_the_best_of_equally_dear_points_counts_in_any_order(self):
        for order in itertools.permutations([(0.6, 0.5), (0.6, 0.9), (0.6, 0.7)]):
            costs, accuracies = columns(list(order))
            assert metrics.apgr(costs, accuracies, ANCHORS) == pytest.approx(0.75)

    def test_reaching_the_target_only_as_always_largest_is_unreached(self):
        assert metrics.cpt([0.4, 1.0, 1.5], [0.7, 0.9, 0.95], ANCHORS, x=0.95) is None


class TestUndefined:
    @pytest.mark.parametrize("anchors", [FLAT, INVERTED])
    def test_without_an_accuracy_gap(self, anchors: Anchors):
        assert metrics.pgr(0.7, anchors) is None
        assert metrics.apgr(COSTS, ACCURACIES, anchors) is None
        assert metrics.cpt(COSTS, ACCURACIES, anchors, x=0.1) is None
        assert metrics.delta_ibc(0.4, 0.7, anchors) is None
        assert metrics.ibc(0.4, 0.7, anchors) is not None
        assert metrics.aiq(COSTS, ACCURACIES, anchors) is not None

    def test_without_a_cost_gap(self):
        assert metrics.apgr(COSTS, ACCURACIES, SAME_COST) is None
        assert metrics.cpt(COSTS, ACCURACIES, SAME_COST, x=0.1) is None
        assert metrics.aiq(COSTS, ACCURACIES, SAME_COST) is None
        assert metrics.ibc(0.4, 0.7, SAME_COST) is None
        assert metrics.pgr(0.7, SAME_COST) == pytest.approx(0.5)

    def test_ibc_near_always_smallest(self):
        near = 0.2 + 0.009 * 0.8
        assert metrics.ibc(near, 0.7, ANCHORS) is None
        assert metrics.ibc(near, 0.7, ANCHORS, smallest_gap=0.005) == pytest.approx(0.2 / 0.0072)
        assert metrics.ibc(0.2, 0.7, ANCHORS, smallest_gap=0.0) is None
        assert metrics.ibc(0.1, 0.7, ANCHORS, smallest_gap=0.0) is None

    def test_cost_save_with_free_large_model(self):
        free = Anchors(cost_small=0.0, accuracy_small=0.5, cost_large=0.0, accuracy_large=0.9)
        assert metrics.cost_save([0.0], [0.95], free) is None


class TestProperties:
    @given(st.lists(st.floats(0.0, 1.0), min_size=1, max_size=10), st.floats(0.0, 0.8), st.floats(0.05, 0.2))
    def test_random_mixing_of_the_constants_gives_half(self, shares: list[float], low: float, gap: float):
        anchors = Anchors(cost_small=0.1, accuracy_small=low, cost_large=1.1, accuracy_large=low + gap)
        mix = np.array(shares)
        assert metrics.apgr(0.1 + mix, low + gap * mix, anchors) == pytest.approx(0.5, abs=1e-9)

    @given(points, st.randoms(use_true_random=False))
    def test_order_and_duplicates_do_not_matter(self, sweep: list[tuple[float, float]], random):
        again = sweep + random.choices(sweep, k=3)
        random.shuffle(again)
        functions: list[Callable[..., float | None]] = [metrics.apgr, metrics.aiq, metrics.cost_save]
        for function in functions:
            once, twice = function(*columns(sweep), ANCHORS), function(*columns(again), ANCHORS)
            assert once == twice or once == pytest.approx(twice, abs=1e-9)

    @given(points, st.floats(0.01, 1.2), st.floats(0.01, 1.2))
    def test_cpt_does_not_decrease_in_x(self, sweep: list[tuple[float, float]], first: float, second: float):
        low, high = sorted((first, second))
        easy, hard = (metrics.cpt(*columns(sweep), ANCHORS, x=x) for x in (low, high))
        assert hard is None or (easy is not None and easy <= hard < 1.0)

    @example([(0.0, 0.7)])  # PGR of a half, but for the last bit
    @given(points)
    def test_cpt_is_where_the_running_maximum_first_reaches(self, sweep: list[tuple[float, float]]):
        expected, best = None, -np.inf
        for cost, accuracy in sorted(sweep):
            best = max(best, metrics.pgr(accuracy, ANCHORS))
            if best >= 0.5 - TOLERANCE and expected is None and cost < 0.9999:
                expected = max((cost - 0.2) / 0.8, 0.0)
        found = metrics.cpt(*columns([point for point in sweep if point[0] < 0.9999] or [(0.3, 0.0)]), ANCHORS, x=0.5)
        assert found == (None if expected is None else pytest.approx(expected, abs=1e-9))

    @given(points, st.tuples(st.floats(0.0, 2.0), st.floats(0.0, 1.0)))
    def test_one_more_threshold_never_lowers_aiq(self, sweep: list[tuple[float, float]], extra: tuple[float, float]):
        assert metrics.aiq(*columns([*sweep, extra]), ANCHORS) >= metrics.aiq(*columns(sweep), ANCHORS) - 1e-12

    @given(points)
    def test_aiq_bounds_apgr_and_the_zero_router(self, sweep: list[tuple[float, float]]):
        aiq, apgr = metrics.aiq(*columns(sweep), ANCHORS), metrics.apgr(*columns(sweep), ANCHORS)
        assert aiq >= 0.5 + 0.4 * max(apgr, 0.5) - 1e-9

    @given(points)
    def test_aiq_is_the_area_under_the_hull(self, sweep: list[tuple[float, float]]):
        inside = [(max(c, 0.2), a) for c, a in sweep if c <= 1.0]
        hull = frontier.zero_router_hull(*columns([*inside, (0.2, 0.5), (1.0, 0.9)]))
        knots = np.unique(np.concatenate([hull.costs, [1.0]]))
        area = np.trapezoid(np.interp(knots, hull.costs, hull.accuracies), knots) / 0.8
        assert metrics.aiq(*columns(sweep), ANCHORS) == pytest.approx(area, abs=1e-9)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: metrics.apgr([], [], ANCHORS), "costs has shape"),
        (lambda: metrics.apgr([0.5], [0.5, 0.6], ANCHORS), "as many"),
        (lambda: metrics.aiq([0.5], [1.5], ANCHORS), r"accuracies=\[1\.5\] must be in \[0, 1\]"),
        (lambda: metrics.aiq([-0.5], [0.5], ANCHORS), "costs="),
        (lambda: metrics.aiq([np.nan], [0.5], ANCHORS), "costs="),
        (lambda: metrics.cpt(COSTS, ACCURACIES, ANCHORS, x=0.0), r"x=0\.0"),
        (lambda: metrics.ibc(0.4, 0.7, ANCHORS, smallest_gap=1.0), "smallest_gap"),
        (lambda: metrics.accuracy_at(COSTS, ACCURACIES, ANCHORS, budget=0.0), "budget"),
        (lambda: metrics.cost_at(COSTS, ACCURACIES, ANCHORS, share=-1.0), "share"),
        (
            lambda: metrics.pgr(0.5, Anchors(cost_small=-1.0, accuracy_small=0.1, cost_large=1.0, accuracy_large=0.9)),
            "anchors' costs",
        ),
    ],
)
def test_bad_input_is_named(call: Callable[[], object], message: str):
    with pytest.raises(ValueError, match=message):
        call()
