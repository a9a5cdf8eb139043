"""Known answers for agents and calibration: what they reach, against an optimum and risks that are known exactly."""

from __future__ import annotations

import numpy as np
import pytest
from simulator_toys import toy

from gym_stepwise_routing.game.game import Game
from gym_stepwise_routing.planning import Planner
from gym_stepwise_routing.sources.simulator import SimulatorSource
from gym_stepwise_routing.sources.simulator.threshold_curves import threshold_rule

BUDGET = 0.25


@pytest.fixture(scope="module")
def sb3():
    th = pytest.importorskip("torch")
    th.set_num_threads(1)
    return pytest.importorskip("gym_stepwise_routing.envs.sb3")


def toy_source(problems):
    no_repair = ((0.0, 0.0), (0.0, 0.0))
    parameters = toy(scores=True, confidence=False, repair=no_repair, recovery=(0.0, 0.0))
    return SimulatorSource(parameters, problems=problems)


@pytest.fixture(scope="module")
def planner():
    return Planner(toy_source(50_000), mode="regenerate", cost_unit="large_tokens", information="score")


def game_of(planner, *blocks, source=None):
    return {
        "source": source or planner.source,
        "mode": planner.mode,
        "cost_unit": planner.costs.unit,
        "observation": blocks,
        "normaliser": planner.costs.normaliser,
    }


def reached(sb3, agent, game, *, deterministic=False, **shown):
    """Accuracy and mean cost of an agent in some 20,000 fresh episodes."""
    arena = sb3.RoutingVecEnv(4096, seed=1, split="test", **game, **shown)
    observation, episodes = arena.reset(), []
    for _ in range(30):
        actions, _ = agent.predict(observation, deterministic=deterministic, action_masks=arena.action_masks())
        observation, _, done, infos = arena.step(actions)
        episodes += [(infos[row]["episode"]["r"], infos[row]["episode"]["c"]) for row in np.flatnonzero(done)]
    return np.mean(episodes, axis=0)


def assert_near_the_optimum(planner, accuracy, cost, *, over, gap):
    """The budget is kept but for ``over``; ``gap`` is missing to the optimum at the agent's cost, at most."""
    frontier = planner.frontier()
    cheap, dear = frontier.solutions[0], frontier.solutions[-1]
    mixture = cheap.accuracy + (dear.accuracy - cheap.accuracy) * (cost - cheap.cost) / (dear.cost - cheap.cost)
    assert abs(cost - BUDGET) <= over
    assert frontier.upper(cost) - accuracy <= gap
    assert accuracy >= mixture + 0.01  # better than tossing a coin between the two extremes, by its information


@pytest.mark.slow
def test_lagrangian_ppo_reaches_the_constrained_optimum(sb3, planner):
    """A routing game's optimum, known exactly, to a point and a half: the agents' own tests have two states alone."""
    algorithms = pytest.importorskip("gym_stepwise_routing.agents.lagrangian_ppo")
    game = game_of(planner, "progress", "verifier")
    agent = algorithms.LagrangianPPO(
        "MlpPolicy",
        sb3.RoutingVecEnv(256, seed=0, **game),
        limit=BUDGET,
        n_steps=32,
        batch_size=2048,
        n_epochs=10,
        learning_rate=lambda left: 3e-3 * left,
        multiplier_init=0.5,
        seed=0,
        policy_kwargs={"net_arch": [64]},
        device="cpu",
    )
    agent.learn(400_000)
    accuracy, cost = reached(sb3, agent, game)
    assert_near_the_optimum(planner, accuracy, cost, over=0.03, gap=0.015)  # measured: 0.001 to 0.005 with four seeds


@pytest.mark.slow
def test_all_budgets_reaches_the_constrained_optimum_by_the_budget_to_show(sb3, planner):
    """As above; and that the budget which was chosen on other problems is the one to show."""
    algorithms = pytest.importorskip("gym_stepwise_routing.agents.all_budgets")
    from gym_stepwise_routing.agents import limits, scores

    game = game_of(planner, "progress", "ledger", "verifier")
    agent = algorithms.AllBudgetsPPO(
        "MlpPolicy",
        sb3.RoutingVecEnv(256, seed=0, budget=(0.1, 0.6), **game),
        n_steps=32,
        batch_size=2048,
        n_epochs=10,
        learning_rate=lambda left: 3e-3 * left,
        multiplier_init=0.5,
        seed=0,
        policy_kwargs={"net_arch": [64]},
        device="cpu",
    )
    agent.learn(150_000)
    asked = game_of(planner, "progress", "ledger", "verifier", source=toy_source(9_000))
    practice = Game(asked.pop("source"), split="train", **asked)
    shown = limits.budget_to_show(scores.scored(agent), practice, BUDGET)
    accuracy, cost = reached(sb3, agent, game, budget=shown)
    # measured: cost 0.005 below the budget, 0.013 of accuracy missing; short training, for a test's sake
    assert_near_the_optimum(planner, accuracy, cost, over=0.02, gap=0.025)


@pytest.mark.slow
def test_ccpo_reaches_the_constrained_optimum(sb3, planner):
    """Its threshold policy decides; the step that moves the threshold keeps it moving, and the cost with it."""
    algorithms = pytest.importorskip("gym_stepwise_routing.agents.ccpo")
    game = game_of(planner, "progress", "verifier")
    agent = algorithms.CCPO(
        "MlpPolicy",
        sb3.RoutingVecEnv(256, seed=0, **game),
        limit=BUDGET,
        constraint="cost_limit",
        selection="largest",
        n_steps=16,
        batch_size=1024,
        n_critic_updates=4,
        target_kl=0.01,
        seed=0,
        policy_kwargs={"net_arch": [16]},
        device="cpu",
    )
    agent.learn(120_000)
    accuracy, cost = reached(sb3, agent, game, deterministic=True)
    # measured: cost 0.032 over the limit, no accuracy missing at that cost. The batch conformal fit, which stays below,
    # would leave more: of its candidates one costs 0.09 and the next more than the limit.
    assert_near_the_optimum(planner, accuracy, cost, over=0.05, gap=0.015)


DELTA = 0.1
KEEP_ABOVE = np.array([0.95, 0.8, 0.65, 0.5, 0.35, 0.2, 0.05])


@pytest.fixture(scope="module")
def thresholds():
    """Right answers ``bool[thresholds, problems]`` of the threshold rule, and its exact risk and cost."""
    pytest.importorskip("gym_stepwise_routing.calibration")
    from gym_stepwise_routing.baselines.verifier_threshold import VerifierThreshold
    from gym_stepwise_routing.evaluation.evaluate import sweep

    source = SimulatorSource("math-qwen2.5", problems=48_000)
    exact = threshold_rule(source.process, KEEP_ABOVE.tolist())
    game = Game(
        source,
        split="calibration",
        mode="regenerate",
        cost_unit="large_tokens",
        observation=("verifier",),
        normaliser=1.0,
    )
    played = sweep(VerifierThreshold(), game, 1 - KEEP_ABOVE, seed=0)
    np.testing.assert_allclose(1 - played.right.mean(axis=1), 1 - exact.accuracy, atol=4.5 * 0.5 / np.sqrt(48_000))
    return played.right, 1 - exact.accuracy, exact.large_tokens


def chosen(right, alpha, n, delta=DELTA, *, empirical=False):
    """Row that calibration chooses on each set of ``n`` problems; -1 where it certifies none."""
    from gym_stepwise_routing import calibration

    rows = []
    for start in range(0, right.shape[1], n):
        losses = 1.0 - right[:, start : start + n]
        if empirical:
            rows.append(max(np.flatnonzero(losses.mean(axis=1) <= alpha), default=-1))
            continue
        found = calibration.certify([calibration.Risk(losses=losses, alpha=alpha)], delta=delta)
        rows.append(max(found.accepted) if isinstance(found, calibration.Certified) else -1)
    return np.array(rows)


def test_a_certificate_breaks_its_promise_as_rarely_as_it_says_and_no_more_rarely_than_that(thresholds):
    """The risk of the cheaper of two thresholds is a hair too high: the hardest case that there is.

    120 sets of 400 problems: at most delta of them may certify it, and a bound that is far too cautious never would.
    The control arms, a careless delta and tuning on the set itself, must break the same limit.
    """
    from scipy.stats import binom

    right, risk, _ = thresholds
    pair, sets = right[[0, 4]], 120
    alpha = risk[4] - 1e-4
    most = binom.ppf(0.999, sets, DELTA)
    broken = (chosen(pair, alpha, 400) == 1).sum()
    assert binom.ppf(0.001, sets, DELTA / 2) <= broken <= most
    assert (chosen(pair, alpha, 400) >= 0).mean() > 0.95  # the safer one is certified nearly always
    assert (chosen(pair, alpha, 400, delta=0.5) == 1).sum() > most
    assert (chosen(pair, alpha, 400, empirical=True) == 1).sum() > most


def test_what_is_certified_comes_near_the_cheapest_admissible_threshold_as_problems_grow(thresholds):
    """Cost above that of the cheapest threshold of admissible exact risk; where none is certified, the safest one's."""
    right, risk, cost = thresholds
    alpha = risk[4] + 0.01
    assert np.flatnonzero(risk <= alpha).max() == 4
    gaps = [cost[np.maximum(chosen(right, alpha, n), 0)].mean() / cost[4] - 1 for n in (100, 400, 1600, 6000)]
    assert gaps == sorted(gaps, reverse=True)
    assert gaps[0] > 0.3
    assert gaps[-1] < 0.12
