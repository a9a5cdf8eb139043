"""Evaluation in one batch equals playing the scalar environment problem by problem."""

from __future__ import annotations

import numpy as np
import pytest
from fake_sources import TreeSource, Untabulated
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gym_stepwise_routing.baselines import AlwaysLargest, AlwaysSmallest, ConfidenceThreshold, RandomMix
from gym_stepwise_routing.costs.units import COST_UNITS, cost_of
from gym_stepwise_routing.envs.stepwise_routing import StepwiseRoutingEnv
from gym_stepwise_routing.errors import NotApplicableError
from gym_stepwise_routing.evaluation.evaluate import evaluate, play, sweep, threshold_grid
from gym_stepwise_routing.game.game import Game
from gym_stepwise_routing.routers.base import ALWAYS_LARGEST, ALWAYS_SMALLEST, Replay, Router, ThresholdRouter, bind
from gym_stepwise_routing.types import MODES


class Hashed(Router):
    """Decisions that look random but depend on the observation alone."""

    name = "hashed"

    def predict(self, observation, state=None, episode_start=None, deterministic=True):
        sums = np.abs(observation.astype(np.float64)).sum(axis=1)
        return (np.floor(sums * 1e4) % self.models).astype(np.int64), state


def by_hand(router, source, **game) -> dict[str, np.ndarray]:
    """Every problem of the split in a scalar environment of its own."""
    env = StepwiseRoutingEnv(source, **game)
    bind(router, env.routing_spec)
    rows = []
    for problem in env.game.problems:
        observation, info = env.reset(options={"problem": int(problem)})
        decisions, over = [], not info["action_mask"].any()
        right = truncated = False
        while not over:
            action = int(router.predict(observation[None])[0][0])
            mask = env.action_masks()
            larger = [k for k in np.flatnonzero(mask) if k >= action]
            decisions.append(int(larger[0] if larger else np.flatnonzero(mask)[-1]))
            observation, reward, terminated, truncated, info = env.step(action)
            right, over = reward == 1, terminated or truncated
        rows.append((right, info["spent"], info["ledger"], truncated, decisions))
    return dict(zip(("right", "cost", "ledger", "truncated", "decisions"), zip(*rows, strict=True), strict=True))


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 100),
    mode=st.sampled_from(MODES),
    unit=st.sampled_from(COST_UNITS.names()),
    budget=st.sampled_from([None, 0.4, 0.9]),
    hard=st.booleans(),
    tabulated=st.booleans(),
)
@example(seed=0, mode="route", unit="large_tokens", budget=0.4, hard=True, tabulated=True)  # ended before the trace has
@example(seed=0, mode="route", unit="large_tokens", budget=0.4, hard=True, tabulated=False)
def test_evaluation_equals_the_scalar_environment(seed, mode, unit, budget, hard, tabulated):
    source = TreeSource(seed, models=3, problems=18, verifier=True, gaps=0.1)
    source = source if tabulated else Untabulated(source)
    game = {
        "mode": mode,
        "cost_unit": unit,
        "budget": budget,
        "hard_budget": hard and budget is not None,
        "observation": ("progress", "confidence", "ledger", "verifier"),
        "normaliser": 2.3,
        "masked_action": "project",
    }
    result = evaluate(Hashed(), source, "calibration", **game)
    expected = by_hand(Hashed(), source, split="calibration", **game)
    np.testing.assert_array_equal(result.right, expected["right"])
    np.testing.assert_array_equal(result.cost, expected["cost"])
    np.testing.assert_array_equal(result.ledger, np.stack(expected["ledger"]))
    np.testing.assert_array_equal(result.truncated, expected["truncated"])
    np.testing.assert_array_equal(result.bankrupt, result.cost > (np.inf if budget is None else budget))
    for row, decisions in enumerate(expected["decisions"]):
        assert result.decisions[row][result.decisions[row] >= 0].tolist() == decisions
        assert result.steps[row] == len(decisions)
    for name, cost in result.costs.items():
        np.testing.assert_array_equal(cost, cost_of(result.ledger, name, source.pool))
    np.testing.assert_allclose(result.costs[unit] / 2.3, result.cost, rtol=1e-12)


def test_what_an_evaluation_says_of_itself():
    result = evaluate(AlwaysLargest(), TreeSource(models=3), "test", mode="escalate", cost_unit="dollars")
    assert (result.router, result.source, result.simulated, result.split) == (
        "always-largest",
        "fake-tree",
        True,
        "test",
    )
    assert (result.mode, result.cost_unit, result.problems) == ("escalate", "dollars", ("fake/2", "fake/5"))
    assert set(result.costs) == set(COST_UNITS) - {"large_calls"}  # which is told where it is asked for
    assert len(result) == 2
    assert result.accuracy == result.right.mean()
    assert result.mean_cost == result.cost.mean() == pytest.approx(1.0)
    assert not evaluate(AlwaysLargest()).simulated


def test_every_problem_is_played_once_in_the_order_of_the_split():
    result = evaluate(AlwaysSmallest())
    game = Game(split="test")
    assert result.problems == tuple(game.source.problem_ids(game.problems))
    assert len(set(result.problems)) == 400


def test_decisions_can_be_replayed():
    game = Game(split="test", mode="regenerate")
    result = play(RandomMix(0.4, seed=2), game)
    again = play(Replay(result.decisions), game)
    for name in ("right", "cost", "ledger", "steps", "decisions"):
        np.testing.assert_array_equal(getattr(again, name), getattr(result, name))


def test_the_order_of_the_problems_does_not_matter():
    """Decisions are functions of the observation: a problem's outcome is the same in a batch of its own."""
    whole = evaluate(Hashed(), split="test")
    game = Game(split="test")
    game.problems = game.problems[::-1][:30]
    part = play(Hashed(), game)
    for name in ("right", "cost", "decisions"):
        np.testing.assert_array_equal(getattr(part, name), getattr(whole, name)[::-1][:30])


class WithMasks(Router):
    """Takes masks, as sb3-contrib's models do, and picks the smallest allowed model."""

    def __init__(self):
        self.seen = []
        self.starts = []

    def predict(self, observation, state=None, episode_start=None, deterministic=True, action_masks=None):
        self.seen.append(action_masks)
        self.starts.append(episode_start.all())
        assert deterministic
        return np.argmax(action_masks, axis=1), 0 if state is None else state + 1


def test_masks_states_and_starts_reach_the_routers_that_take_them():
    source = TreeSource(2, models=3, problems=30, gaps=0.2)
    router = WithMasks()
    result = evaluate(router, source, "test", mode="route", masked_action="error", normaliser=1.0)
    assert len(router.seen) == result.steps.max()
    assert router.seen[0].shape == (10, 3)
    assert not np.concatenate(router.seen).all()
    assert router.starts == [True] + [False] * (len(router.seen) - 1)


def test_masked_decisions_are_projected_or_refused():
    source = TreeSource(2, models=3, problems=30)
    game = {"mode": "escalate", "observation": ("progress",)}

    class Descends(Router):
        """Model 1 first, then 0, which is masked by then."""

        def predict(self, observation, state=None, episode_start=None, deterministic=True):
            return np.where(observation[:, 0] == 0, 1, 0), state

    projected = evaluate(Descends(), source, "test", **game)
    assert set(projected.decisions[projected.decisions >= 0].tolist()) == {1}
    with pytest.raises(ValueError, match=r"action=0 is masked at step 1 of problem \d+; allowed: \[1, 2\]"):
        evaluate(Descends(), source, "test", masked_action="error", **game)


@pytest.mark.parametrize("actions", [np.array([0, 2, 0, 0]), np.array([-1, 0, 0, 0]), np.zeros(3, int)])
def test_decisions_out_of_range(actions):
    class Bad(Router):
        def predict(self, observation, state=None, episode_start=None, deterministic=True):
            return actions, state

    with pytest.raises(ValueError, match=r"actions=.*; allowed: 4 integers from 0 to 1"):
        evaluate(Bad(), TreeSource(problems=12), "test")


def test_a_router_that_does_not_apply():
    with pytest.raises(NotApplicableError, match="feature 'p_min' is not observed"):
        evaluate(ConfidenceThreshold(), observation=["progress"])


@pytest.mark.parametrize("mode", MODES)
def test_a_sweep_is_one_play_for_each_threshold(mode):
    game = Game(split="calibration", mode=mode, masked_action="project", budget=(0.3, 1.0), hard_budget=True)
    router = ConfidenceThreshold("p_min")
    thresholds = [0.7, ALWAYS_SMALLEST, 0.0, 0.2, 0.2]
    result = sweep(router, game, thresholds, seed=4)
    assert result.thresholds.tolist() == [0.0, 0.2, 0.7, ALWAYS_SMALLEST]
    assert result.router == "confidence-p_min"
    for row, threshold in enumerate(result.thresholds):
        single = play(ThresholdRouter(router, threshold), game, seed=4)
        np.testing.assert_array_equal(result.right[row], single.right)
        np.testing.assert_array_equal(result.cost[row], single.cost)


def test_the_ends_of_a_sweep_are_the_constants():
    game = Game(split="test")
    result = sweep(ConfidenceThreshold(), game, [ALWAYS_LARGEST, ALWAYS_SMALLEST])
    for row, constant in enumerate([AlwaysLargest(), AlwaysSmallest()]):
        expected = play(constant, game)
        np.testing.assert_array_equal(result.right[row], expected.right)
        np.testing.assert_array_equal(result.cost[row], expected.cost)


@pytest.mark.parametrize("thresholds", [[], [-0.1], [0.5, float("nan")]])
def test_bad_thresholds(thresholds):
    with pytest.raises(ValueError, match=r"thresholds=.*; allowed: one or more numbers >= 0"):
        sweep(ConfidenceThreshold(), Game(), thresholds)


@pytest.mark.parametrize("mode", MODES)
def test_threshold_grids_keep_to_allowed_decisions(mode):
    """Also where a masked decision is an error."""
    game = Game(mode=mode)
    grid = threshold_grid(ConfidenceThreshold(), game, size=21, seed=1)
    assert grid[0] == ALWAYS_LARGEST
    assert grid[-1] == ALWAYS_SMALLEST
    assert (np.diff(grid) > 0).all()
    assert 10 < len(grid) <= 23
    np.testing.assert_array_equal(grid, threshold_grid(ConfidenceThreshold(), game, size=21, seed=1))
    with pytest.raises(ValueError, match="size=1; allowed: an integer >= 2"):
        threshold_grid(ConfidenceThreshold(), game, size=1)


def test_failing_models_leave_room_for_their_attempts():
    source = Untabulated(TreeSource(5, models=3, problems=60, failures=0.4))
    result = evaluate(RandomMix(0.5), source, "train", normaliser=1.0)
    assert result.decisions.shape == (20, 9)
    assert (result.steps > 0).all()
    failed_everywhere = result.truncated & ~result.right
    assert failed_everywhere.any()
