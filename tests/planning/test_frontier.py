"""Frontier, mixtures and regret."""

from __future__ import annotations

import numpy as np
import pytest

from gym_stepwise_routing.planning import Planner, Solution
from gym_stepwise_routing.planning.optimal_frontier import Frontier, trace_frontier

BEST = np.array([[0.2, 0.1], [0.5, 0.3], [0.6, 0.5], [0.65, 1.0]])  # accuracy and cost of four routers
INSIDE = np.array([[0.3, 0.25], [0.58, 0.6]])


def solve(multiplier: float) -> Solution:
    points = np.concatenate([BEST, INSIDE])
    accuracy, cost = points[np.argmax(points[:, 0] - multiplier * points[:, 1])]
    return Solution(multiplier, float(accuracy), float(cost), ())


def test_all_corners_are_found_and_nothing_else():
    frontier = trace_frontier(solve, 1e-9)
    np.testing.assert_allclose(sorted({(s.accuracy, s.cost) for s in frontier.solutions}), BEST.tolist())
    assert frontier.gap == pytest.approx(0, abs=1e-4)  # the dearest line has the multiplier FREE, not 0


def test_bounds_between_corners():
    frontier = trace_frontier(solve, 1e-9)
    assert float(frontier.lower(0.2)) == pytest.approx(0.35)
    assert float(frontier.upper(0.2)) == pytest.approx(0.35)
    assert np.isnan(frontier.lower(0.05))
    assert float(frontier.lower(3.0)) == 0.65


def test_a_tolerance_saves_work():
    assert len(trace_frontier(solve, 0.2).solutions) < len(trace_frontier(solve, 1e-9).solutions)
    with pytest.raises(ValueError, match="tolerance=0"):
        trace_frontier(solve, 0)


def test_the_best_router_at_a_budget_spends_it():
    frontier = trace_frontier(solve, 1e-9)
    mixture = frontier.at_budget(0.35)
    assert (mixture.cheap.cost, mixture.dear.cost) == (0.3, 0.5)
    assert (1 - mixture.share) * mixture.cheap.cost + mixture.share * mixture.dear.cost == pytest.approx(0.35)
    assert frontier.at_budget(7.0).dear.cost == 1.0
    assert frontier.at_budget(7.0).share == 1.0
    assert frontier.at_budget(0.1).cheap.cost == 0.1
    with pytest.raises(ValueError, match=r"budget=0.05; allowed: at least 0.1000"):
        frontier.at_budget(0.05)
    with pytest.raises(ValueError, match="budget=nan"):
        frontier.at_budget(float("nan"))


def test_regret_is_measured_at_the_routers_own_cost():
    frontier = trace_frontier(solve, 1e-9)
    assert frontier.regret(0.5, 0.4) == pytest.approx((0.05, 0.05))
    loose = Frontier(frontier.solutions, frontier.lines, frontier.played - [0.02, 0.0])
    assert loose.regret(0.5, 0.4) == pytest.approx((0.03, 0.05))
    assert loose.gap == pytest.approx(0.02, abs=1e-4)
    with pytest.raises(ValueError, match=r"cost=0.01; allowed: at least 0.1000"):
        frontier.regret(0.2, 0.01)


@pytest.mark.parametrize(
    ("mode", "preset"),
    [("route", "gsm8k-like"), ("regenerate", "gsm8k-like"), ("route", "math-qwen2.5"), ("route", "omni-like")],
)
def test_frontier_of_full_information_is_known_to_a_fifth_of_a_point(preset, mode):
    gaps, values = [], []
    for bound in ("lower", "upper"):
        planner = Planner(preset, mode=mode, information="full", spacing=1 if "gsm8k" in preset else 3, bound=bound)
        frontier = planner.frontier(8e-4)
        gaps.append(frontier.gap)
        values.append(frontier)
    costs = np.linspace(values[0].cheapest, 1.0, 50)
    assert max(gaps) < 0.002
    assert np.max(values[1].upper(costs) - values[0].lower(costs)) < 0.002


@pytest.mark.parametrize("preset", ["math-qwen2.5", "omni-like"])
def test_so_are_values_where_drafts_make_the_lattice_large(preset):
    """The same at two prices alone: a whole frontier takes twenty, and half a minute."""
    lower, upper = (
        Planner(preset, mode="regenerate", information="full", spacing=3, bound=bound) for bound in ("lower", "upper")
    )
    for price in (0.2, 0.6):
        assert -1e-9 <= upper.solve(price).value - lower.solve(price).value < 0.002


def test_frontier_of_real_information_lies_below_that_of_full_information():
    full = Planner("gsm8k-like", mode="regenerate", information="full").frontier()
    seen = Planner("gsm8k-like", mode="regenerate", information="confidence", resolution=6).frontier()
    costs = np.linspace(0.33, 1.4, 30)
    assert (seen.upper(costs) <= full.upper(costs) + 1e-9).all()
    assert seen.gap < 0.002


def test_a_mixture_of_played_optima_keeps_the_budget_that_its_promised_costs_would_not():
    """Costs that a grid of beliefs promises are off; the mixture is made of what the optima cost in play."""
    promised = tuple(Solution(m, a, c, ()) for m, a, c in ((2.0, 0.2, 0.1), (1.0, 0.5, 0.3), (0.5, 0.6, 0.5)))
    played = np.array([[0.2, 0.1], [0.49, 0.32], [0.6, 0.54]])
    mixture = Frontier(promised, promised, played, error=0.01).at_budget(0.43)
    assert mixture.share == pytest.approx(0.5)
    assert (mixture.accuracy, mixture.cost) == (pytest.approx(0.545), pytest.approx(0.43))
    assert Frontier(promised, promised, played, error=0.0).at_budget(0.4).share == pytest.approx(0.5)


def test_the_router_of_a_budget_is_played_within_it():
    planner = Planner("gsm8k-like", cost_unit="large_tokens", information="confidence", resolution=4)
    mixture = planner.bounded_frontier(tolerance=5e-3).at_budget(0.75)
    played = planner.play_mixture(mixture, episodes=40_000, seed=7)
    assert len(played.right) == 40_000
    assert 0 < mixture.share < 1
    error = played.cost.std() / 200
    assert abs(played.mean_cost - 0.75) < 5 * error  # of both plays
    assert abs(played.accuracy - mixture.accuracy) < 5 * 0.5 / 200
    assert abs(mixture.cost - 0.75) < 1e-9
    with pytest.raises(ValueError, match="episodes=1; allowed: an integer >= 2"):
        planner.play_mixture(mixture, episodes=1)
    with pytest.raises(ValueError, match="episodes=0; allowed: an integer >= 2"):
        planner.play(0.5, episodes=0)


def test_beliefs_are_known_as_well_as_is_stated():
    """docs/simulator.md: 0.2 points, shown here for one of the presets."""
    frontier = Planner(
        "gsm8k-like", mode="regenerate", cost_unit="large_tokens", information="confidence", resolution=12
    ).bounded_frontier(tolerance=1e-3, episodes=100)
    assert frontier.error < 2e-4
    assert frontier.gap + 2 * frontier.error < 0.002
