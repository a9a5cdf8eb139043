"""A policy that the planner teaches: near the known optimum in seconds, on simulators only."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from gym_stepwise_routing.agents.all_budgets import AllBudgetsPPO
from gym_stepwise_routing.agents.all_budgets.lessons import Lessons, watch
from gym_stepwise_routing.agents.limits import mean_outcome
from gym_stepwise_routing.agents.scores import scored
from gym_stepwise_routing.agents.training import Hyperparameters, hyperparameters, train
from gym_stepwise_routing.errors import NotApplicableError
from gym_stepwise_routing.game.config import GameConfig
from gym_stepwise_routing.game.game import Game
from gym_stepwise_routing.planning.planner import Planner
from gym_stepwise_routing.sources.simulator.simulator_source import SimulatorSource

PRESET = "math-qwen2.5"
UNIT = "large_tokens"


def game(**changes):
    return Game(PRESET, cost_unit=UNIT, **{"budget": (0.1, 1.0), **changes})


def settings(**lessons):
    shipped = hyperparameters("all_budgets", "planner")
    return replace(shipped, algorithm=shipped.algorithm | {"lessons": shipped.algorithm["lessons"] | lessons})


@pytest.fixture(scope="module")
def taught():
    quick = settings(episodes=20_000, passes=3, resolution=12)
    return train("all_budgets", seed=0, game=GameConfig(PRESET, cost_unit=UNIT), settings=quick)


def test_it_is_near_the_optimum_at_budgets_that_it_keeps(taught):
    frontier = Planner(PRESET, cost_unit=UNIT, information="confidence").frontier(2e-3)
    test = Game(SimulatorSource(PRESET, problems=10_000), split="test", cost_unit=UNIT)
    for budget in (0.3, 0.6, 0.9):
        accuracy, cost = mean_outcome(scored(taught), test, budget=budget)
        assert abs(cost - budget) < 0.06  # as near as so short a lesson brings it
        assert frontier.regret(accuracy, cost)[1] < 0.03  # chance of the plays: .005


def test_it_has_played_nothing_and_is_taught_once(taught):
    assert taught.num_timesteps == 0
    before = scored(taught).dense[0].weight.copy()
    taught.learn(0)
    np.testing.assert_array_equal(scored(taught).dense[0].weight, before)


def test_what_is_imitated_is_what_an_observer_could_have_done():
    states = watch(game(observation=("progress", "ledger")), Lessons(episodes=3000, resolution=4), seed=0)
    rows = np.arange(len(states.action))
    assert states.mask[rows, states.action].all()
    names = game(observation=("progress", "ledger")).spec.feature_names
    first = states.observation[:, names.index("depth")] == 0
    assert first.sum() == 3000
    budgets = states.observation[first, names.index("budget_left")]
    assert 0.1 <= budgets.min() < 0.11 < 0.99 < budgets.max() <= 1.0
    # whoever has more asks the larger model more often
    poor, rich = (states.action[first][part].mean() for part in (budgets < 0.3, budgets > 0.8))
    assert poor < rich


def test_a_seed_repeats_the_lessons():
    one, again, other = (watch(game(), Lessons(episodes=50, resolution=4), seed=seed) for seed in (3, 3, 4))
    np.testing.assert_array_equal(one.observation, again.observation)
    assert one.observation.shape != other.observation.shape or (one.observation != other.observation).any()


@pytest.mark.parametrize("bad", [{"episodes": 0}, {"passes": 1.5}, {"learning_rate": 0}, {"resolution": True}])
def test_bad_lessons_are_named(bad):
    (name,) = bad
    with pytest.raises(ValueError, match=f"lessons: {name}="):
        Lessons(**bad)


def test_only_a_simulator_has_a_known_optimum():
    with pytest.raises(NotApplicableError, match=r"lessons with bank 'gsm8k-qwen2.5-coder'; allowed: a simulator"):
        train(
            "all_budgets", seed=0, game=GameConfig(cost_unit=UNIT), settings=hyperparameters("all_budgets", "planner")
        )
    with pytest.raises(ValueError, match=r"lessons with budget=0.5; allowed: a range"):
        watch(game(budget=0.5), Lessons(), seed=0)


def test_no_steps_are_enough_with_lessons_alone():
    assert hyperparameters("all_budgets", "planner").total_timesteps == 0
    with pytest.raises(ValueError, match=r"total_timesteps=0; allowed: an integer >= 1"):
        Hyperparameters(n_envs=8, total_timesteps=0)


def test_a_saved_model_knows_that_it_was_taught(taught, tmp_path):
    taught.save(tmp_path / "model.zip")
    loaded = AllBudgetsPPO.load(tmp_path / "model.zip")
    assert loaded.taught
    assert loaded.lessons == taught.lessons
