"""Regret: measured to the optimum of what a router sees, and to no optimum that does not bound it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from simulator_toys import toy

from gym_stepwise_routing.comparison.roster import roster
from gym_stepwise_routing.planning import Planner, Solution
from gym_stepwise_routing.planning.optimal_frontier import Frontier
from gym_stepwise_routing.routers.families import ROUTERS, Family
from gym_stepwise_routing.sources.simulator import SimulatorSource
from studies.regret.contestants import NotPlayed, Outcome, _sees, agent_outcomes, baseline_outcomes
from studies.regret.regret import regrets
from studies.regret.report import regret_page


def line(price: float, start: float) -> Frontier:
    """Accuracy ``start + price * cost`` at costs from 0 to 1."""
    ends = tuple(Solution(price, start + price * cost, cost, ()) for cost in (0.0, 1.0))
    return Frontier(ends, ends, np.array([[end.accuracy, end.cost] for end in ends]))


FRONTIERS = {"full": line(0.5, 0.4), "confidence": line(0.5, 0.3)}


def outcome(router, sees, accuracy, cost=0.4, n=1000):
    right = (np.arange(n) < accuracy * n).astype(float)
    return Outcome(router, "group", sees, f"at {accuracy}", right, np.full(n, cost), np.zeros((1, 2)))


def test_regret_is_to_the_optimum_of_what_is_seen_at_the_same_cost():
    (row,) = regrets([outcome("r", "confidence", 0.42)], FRONTIERS)
    assert row.own.mean == pytest.approx(0.08)
    assert row.full.mean == pytest.approx(0.18)
    half = 1.96 * np.sqrt(0.42 * 0.58 / 999)
    assert (row.own.low, row.own.high) == (pytest.approx(0.08 - half), pytest.approx(0.08 + half))


def test_a_cost_that_goes_with_the_answer_widens_the_interval_as_it_should():
    first = outcome("r", "confidence", 0.5)
    spends_when_right = Outcome("r", "g", "confidence", "s", first.right, 0.8 * first.right, first.curve)
    (row,) = regrets([spends_when_right], FRONTIERS)
    assert row.own.high - row.own.low == pytest.approx(2 * 1.96 * 0.6 * 0.5 / np.sqrt(1000), rel=1e-2)


def test_seeds_are_averaged_and_their_range_is_shown():
    (row,) = regrets([outcome("r", "confidence", a) for a in (0.40, 0.44)], FRONTIERS)
    assert row.own.mean == pytest.approx(0.08)
    assert (row.own.least, row.own.greatest) == (pytest.approx(0.06), pytest.approx(0.10))
    assert row.settings == ("at 0.4", "at 0.44")


def test_what_no_optimum_bounds_has_no_regret_and_comes_last():
    rows = regrets([outcome("a", None, 0.9), outcome("b", "both", 0.3), outcome("c", "confidence", 0.3)], FRONTIERS)
    assert [row.router for row in rows] == ["c", "b", "a"]
    assert rows[1].own is None
    assert rows[1].full.mean == pytest.approx(0.3)
    assert (rows[2].own, rows[2].full) == (None, None)


@pytest.mark.parametrize(
    ("router", "mode", "unit", "sees"),
    [
        ("confidence p_min", "route", "flops", "confidence"),
        ("TRIM-Thr", "regenerate", "flops", "score"),
        ("fitted Q with verifier", "route", "flops", "both"),
        ("fitted Q with probe", "route", "flops", None),
        ("GlimpRouter", "route", "flops", None),
        ("FrugalGPT cascade", "route", "flops", None),
        ("single models", "regenerate", "flops", None),
        ("single models", "regenerate", "large_tokens", "confidence"),
        ("single models", "route", "flops", "confidence"),
    ],
)
def test_what_a_family_knows(router, mode, unit, sees):
    assert _sees(ROUTERS.get(router), mode, unit, "confidence") == sees


@pytest.mark.slow
def test_routers_keep_to_the_budget_and_none_beats_the_optimum():
    source = SimulatorSource("gsm8k-like", problems=400)
    planner = Planner("gsm8k-like", cost_unit="large_tokens", information="confidence")
    frontiers = {
        "full": Planner("gsm8k-like", cost_unit="large_tokens").bounded_frontier(),
        "confidence": planner.frontier(),
    }
    outcomes = list(
        baseline_outcomes(
            source, budget=0.5, mode="route", cost_unit="large_tokens", normaliser=planner.costs.normaliser
        )
    )
    absent = {found.router: found.reason for found in outcomes if isinstance(found, NotPlayed)}
    rows = {row.router: row for row in regrets([o for o in outcomes if isinstance(o, Outcome)], frontiers)}
    assert "regenerate" in absent["TRIM-Thr"]
    assert {family.name for family in roster()} == set(absent) | set(rows)  # nothing is dropped silently
    assert {"single models", "first k large", "confidence p_mean", "fitted Q", "GlimpRouter"} <= set(rows)
    assert all(row.cost < 0.56 for row in rows.values())  # chosen on other problems
    assert all(row.own.high > 0 for row in rows.values() if row.own is not None)
    assert rows["last k large"].own.low > 0.02
    assert rows["GlimpRouter"].own is None


def test_an_agent_is_trained_and_held_against_what_it_sees(monkeypatch):
    training = pytest.importorskip("gym_stepwise_routing.agents.training")
    shipped = training.hyperparameters
    monkeypatch.setattr(training, "hyperparameters", lambda agent: replace(shipped(agent), total_timesteps=5_000))
    source = SimulatorSource(toy(scores=True, confidence=False), problems=300)
    planner = Planner(source, mode="regenerate", cost_unit="large_tokens", information="score")
    (found,) = agent_outcomes(
        ["ppo"],
        source,
        budget=0.5,
        mode="regenerate",
        cost_unit="large_tokens",
        normaliser=planner.costs.normaliser,
    )
    assert (found.router, found.sees, found.setting, len(found.right)) == ("ppo", "score", "penalty 0.3", 300)


def test_a_missing_package_is_a_reason_and_not_silence(monkeypatch):
    def build(arena):
        raise ImportError("needs torch")

    broken = Family(name="broken", group="handcrafted", build=build)
    monkeypatch.setattr("studies.regret.contestants.roster", lambda: [broken])
    game = {"budget": 0.5, "mode": "route", "cost_unit": "large_tokens", "normaliser": 1.0}
    (found,) = baseline_outcomes(SimulatorSource("gsm8k-like", problems=20), **game)
    assert found == NotPlayed("broken", "handcrafted", "a package is missing: needs torch")
    page = regret_page("t", "c", (), {"full": line(0.5, 0.4)}, 0.5, grids={}, not_played=[found, found])
    assert page.markdown().count("| broken | handcrafted | a package is missing: needs torch |") == 1


def test_routers_over_the_budget_are_marked():
    rows = regrets([outcome("kept", "confidence", 0.42, cost=0.4), outcome("over", "confidence", 0.42, 0.6)], FRONTIERS)
    table = regret_page("t", "c", rows, FRONTIERS, 0.5, grids={"confidence": 5}).markdown()
    assert "| 0.600 (over) |" in table
    assert "| 0.400 |" in table


def test_with_full_information_the_lower_bound_is_exact_and_not_played():
    frontier = Planner("gsm8k-like", mode="regenerate").bounded_frontier(tolerance=8e-4)
    assert frontier.error == 0
    assert frontier.gap < 0.002
    costs = np.linspace(frontier.cheapest, 1.4, 40)
    assert (frontier.lower(costs) <= frontier.upper(costs) + 1e-12).all()


def test_beliefs_are_measured_and_the_error_is_stated():
    heard = []
    frontier = Planner("gsm8k-like", cost_unit="large_tokens", information="confidence", resolution=5).bounded_frontier(
        tolerance=0.02, episodes=100, progress=lambda done, of: heard.append((done, of))
    )
    assert heard[-1] == (len(frontier.solutions),) * 2
    assert 1e-5 < frontier.error < 1e-3
    assert frontier.price(0.5) > frontier.price(0.95)
