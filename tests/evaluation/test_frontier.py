"""The two frontiers against hand-worked answers and against trying everything."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gym_stepwise_routing.evaluation.frontier import oracle_frontier, zero_router_hull


class TestZeroRouter:
    def test_by_hand(self):
        # B lies below the line from A to C; D costs more than C and gains nothing.
        hull = zero_router_hull([0.1, 0.5, 0.9, 1.0], [0.4, 0.5, 0.8, 0.8])
        assert hull.costs.tolist() == [0.1, 0.9]
        assert hull.accuracies.tolist() == [0.4, 0.8]
        assert hull.accuracy(0.5) == pytest.approx(0.6)
        assert hull.accuracy(7.0) == 0.8
        assert hull.accuracy(0.09) is None

    def test_equal_costs_keep_the_most_accurate(self):
        hull = zero_router_hull([0.5, 0.5, 0.5], [0.2, 0.7, 0.3])
        assert (hull.costs.tolist(), hull.accuracies.tolist()) == ([0.5], [0.7])

    @given(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 20)), min_size=1, max_size=8))
    def test_no_mix_of_two_models_lies_above(self, models: list[tuple[int, int]]):
        points = [(cost / 20, accuracy / 20) for cost, accuracy in models]
        hull = zero_router_hull([c for c, _ in points], [a for _, a in points])
        for (c, a), (d, b) in itertools.product(points, repeat=2):
            for weight in (0.0, 0.25, 0.5, 1.0):
                mixed = hull.accuracy(weight * c + (1 - weight) * d + 1e-12)
                assert mixed is not None
                assert mixed >= weight * a + (1 - weight) * b - 1e-9
        assert set(zip(hull.costs.tolist(), hull.accuracies.tolist(), strict=True)) <= set(points)


class TestOracle:
    def test_by_hand(self):
        # Problem 0 is right at no extra cost, 1 for .1 more, 2 for .5 more, 3 never.
        frontier = oracle_frontier([0.2, 0.4, 0.7, np.inf], [0.2, 0.3, 0.2, 0.1])
        np.testing.assert_allclose(frontier.costs, [0.2, 0.225, 0.35])
        np.testing.assert_allclose(frontier.accuracies, [0.25, 0.5, 0.75])

    def test_all_unsolvable(self):
        frontier = oracle_frontier([np.inf, np.inf], [0.1, 0.3])
        assert (frontier.costs.tolist(), frontier.accuracies.tolist()) == ([0.2], [0.0])

    @given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6) | st.none()), min_size=1, max_size=6))
    def test_exact_against_every_choice(self, problems: list[tuple[int, int | None]]):
        cheapest = np.array([any_cost for any_cost, _ in problems], dtype=float)
        right = np.array([np.inf if extra is None else any_cost + extra for any_cost, extra in problems])
        best: dict[int, float] = {}
        for choice in itertools.product([False, True], repeat=len(problems)):
            takes = np.array(choice) & np.isfinite(right)
            solved = int((takes | (right == cheapest)).sum())
            best[solved] = min(best.get(solved, np.inf), float(np.where(takes, right, cheapest).mean()))
        frontier = oracle_frontier(right, cheapest)
        found = dict(zip(np.rint(frontier.accuracies * len(problems)).astype(int), frontier.costs, strict=True))
        assert found.keys() == best.keys()
        assert all(found[solved] == pytest.approx(cost) for solved, cost in best.items())


@pytest.mark.parametrize(
    ("right", "cheapest", "message"),
    [
        ([], [], "non-empty"),
        ([1.0, 2.0], [1.0], "equally long"),
        ([0.5], [0.6], r"cheapest_right_cost\[0\]=0\.5 is below"),
        ([np.nan], [0.6], "nan"),
        ([1.0], [np.inf], "cheapest_any_cost must be finite"),
    ],
)
def test_bad_oracle_input_is_named(right: list[float], cheapest: list[float], message: str):
    with pytest.raises(ValueError, match=message):
        oracle_frontier(right, cheapest)


@pytest.mark.parametrize(("costs", "accuracies"), [([], []), ([0.1], [0.1, 0.2]), ([0.1], [1.1]), ([-0.1], [0.1])])
def test_bad_hull_input_is_refused(costs: list[float], accuracies: list[float]):
    with pytest.raises(ValueError, match="costs"):
        zero_router_hull(costs, accuracies)
