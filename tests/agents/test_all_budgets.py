"""One policy for every budget: it learns to spend what it is shown; its values in expectation are exact."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from gym_stepwise_routing.agents.all_budgets import AllBudgetsPPO
from gym_stepwise_routing.agents.scores import scored
from gym_stepwise_routing.agents.training import hyperparameters, train
from gym_stepwise_routing.banks import Bank
from gym_stepwise_routing.envs.sb3 import RoutingVecEnv
from gym_stepwise_routing.evaluation.evaluate import play
from gym_stepwise_routing.evaluation.expectation import Drawn, expected_outcomes
from gym_stepwise_routing.game.config import GameConfig
from gym_stepwise_routing.game.game import Game
from gym_stepwise_routing.routers.policy_network import Dense, PolicyNetwork, Recurrent
from studies.agents.folds import cross_validation, learning_curve

BANK = "gsm8k-qwen2.5-coder"
QUICK = {"n_steps": 4, "batch_size": 64, "policy_kwargs": {"net_arch": [4]}}


def env(**arguments):
    return RoutingVecEnv(16, seed=0, cost_unit="large_tokens", **{"budget": (0.2, 1.0), **arguments})


@pytest.fixture(scope="module")
def trained():
    settings = hyperparameters("all_budgets")
    settings = replace(settings, total_timesteps=120_000, algorithm=settings.algorithm | {"learning_rate": 0.003})
    return train("all_budgets", seed=0, game=GameConfig(cost_unit="large_tokens"), settings=settings)


def test_it_spends_more_the_more_it_is_shown_and_about_that_much(trained):
    game, network = Game(cost_unit="large_tokens"), scored(trained)
    budgets = np.array([0.1, 0.3, 0.5, 0.7, 0.9])
    costs = np.array([expected_outcomes(network, game, budget=budget)[1].mean() for budget in budgets])
    assert (np.diff(costs) > 0).all()
    assert np.abs(costs - budgets).max() < 0.15


def test_the_multiplier_is_linear_between_knots_and_constant_outside():
    model = AllBudgetsPPO("MlpPolicy", env(), levels=3, seed=0, **QUICK)
    for multiplier, value in zip(model.multipliers, (3.0, 1.0, 0.0), strict=True):
        multiplier.value = value
    np.testing.assert_allclose(model.knots, [0.2, 0.6, 1.0])

    budgets = np.array([0.0, 0.2, 0.4, 0.6, 0.8, 1.0, 9.0])
    np.testing.assert_allclose(model.multiplier_at(budgets), [3, 3, 2, 1, 0.5, 0, 0])


def test_multipliers_follow_the_violations_of_the_episodes_around_them():
    model = AllBudgetsPPO(
        "MlpPolicy", env(), levels=3, multiplier="dual_ascent", multiplier_lr=1.0, multiplier_init=1.0, seed=0, **QUICK
    )
    model.learn(1)  # sets up the logger
    for multiplier in model.multipliers:
        multiplier.value = 1.0
    model._finished = [(0.2, 0.5), (0.4, 0.3), (1.0, 0.9)]
    model._move_multipliers()
    # knot 0.2: weights 1 and 1/2 of violations .3 and -.1; knot 0.6: only -.1; knot 1.0: only -.1
    expected = [1 + (0.3 - 0.05) / 1.5, 1 - 0.1, 1 - 0.1]
    np.testing.assert_allclose([multiplier.value for multiplier in model.multipliers], expected)
    model._move_multipliers()  # nothing finished since: nothing moves
    np.testing.assert_allclose([multiplier.value for multiplier in model.multipliers], expected)


def test_advantages_are_combined_by_the_budget_of_each_step():
    model = AllBudgetsPPO("MlpPolicy", env(), levels=2, seed=0, n_epochs=1, **(QUICK | {"batch_size": 10_000}))
    seen = {}

    def keep(batch_size=None, original=model.rollout_buffer.get):
        seen["advantages"] = model.rollout_buffer.advantages.copy()
        yield from original(batch_size)

    model._setup_learn(64, None)
    model.collect_rollouts(model.env, model._init_callback(None), model.rollout_buffer, model.n_steps)
    buffer = model.rollout_buffer
    before, cost = buffer.advantages.copy(), buffer.cost_advantages.copy()
    left, known, spent = (
        Game(cost_unit="large_tokens").spec.feature_names.index(n) for n in ("budget_left", "budget_known", "spent")
    )
    budgets = buffer.observations[..., left] + buffer.observations[..., spent]
    assert (buffer.observations[..., known] == 1).all()
    assert ((budgets > 0.2 - 1e-5) & (budgets < 1.0 + 1e-5)).all()
    buffer.get = keep
    model.train()
    weight = model.multiplier_at(budgets)
    np.testing.assert_allclose(seen["advantages"], (before - weight * cost) / (1 + weight), atol=1e-5)


def test_saved_and_loaded_it_keeps_its_multipliers(tmp_path):
    model = AllBudgetsPPO("MlpPolicy", env(), levels=3, seed=0, **QUICK).learn(200)
    model.save(tmp_path / "model.zip")
    loaded = AllBudgetsPPO.load(tmp_path / "model.zip", env=env())
    np.testing.assert_array_equal(loaded.multiplier_at(model.knots), model.multiplier_at(model.knots))
    loaded.learn(100, reset_num_timesteps=False)


@pytest.mark.parametrize(
    ("environment", "arguments", "message"),
    [
        ({"budget": None}, {}, "budget=None"),
        ({"budget": 0.5}, {}, "budget=0.5"),
        ({"observation": ("progress",)}, {}, "block 'ledger'"),
        ({}, {"levels": 1}, "levels=1"),
        ({}, {"limit": 0.5}, "limit=0.5"),
        ({}, {"constraint": "accuracy_floor"}, "constraint='accuracy_floor'"),
    ],
)
def test_bad_arguments(environment, arguments, message):
    with pytest.raises(ValueError, match=message):
        AllBudgetsPPO("MlpPolicy", env(**environment), seed=0, **QUICK, **arguments)


def test_another_environment_is_refused():
    with pytest.raises(ValueError, match="allowed: a RoutingVecEnv"):
        AllBudgetsPPO("MlpPolicy", "CartPole-v1", **QUICK)


@pytest.mark.parametrize("mode", ["route", "escalate", "regenerate"])
def test_expected_outcomes_are_what_drawing_gives_on_average(mode):
    game = Game(split="calibration", mode=mode, cost_unit="large_tokens")
    rng = np.random.default_rng(0)
    features = len(game.spec.features)
    network = PolicyNetwork([Dense(rng.normal(size=(2, features)), np.zeros(2), "none")])
    right, cost = expected_outcomes(network, game)
    played = [play(Drawn(network, seed), game) for seed in range(400)]
    for expected, drawn in ((right, [e.right for e in played]), (cost, [e.cost for e in played])):
        drawn = np.array(drawn, dtype=float)
        error = drawn.std(axis=0).mean() / np.sqrt(drawn.size)
        assert abs(drawn.mean() - expected.mean()) < 5 * error + 1e-9
        np.testing.assert_allclose(drawn.mean(axis=0), expected, atol=0.15 + 4 * drawn.std(axis=0).max() / 20)


def test_a_certain_policy_has_the_outcomes_of_its_deterministic_play():
    game = Game(split="test", cost_unit="large_tokens")
    weight = np.zeros((2, len(game.spec.features)))
    weight[1, game.spec.feature_names.index("depth")] = 1e6
    network = PolicyNetwork([Dense(weight, np.array([0.0, -1e5]), "none")])
    right, cost = expected_outcomes(network, game)
    alone = play(network, game)
    np.testing.assert_allclose(right, alone.right)
    np.testing.assert_allclose(cost, alone.cost)


def test_expected_outcomes_refuse_what_they_cannot_compute():
    game = Game(split="calibration")
    features = len(game.spec.features)
    network = PolicyNetwork([Dense(np.zeros((2, features)), np.zeros(2), "none")])
    cell = Recurrent(np.zeros((8, features)), np.zeros((8, 2)), np.zeros(8))
    with pytest.raises(ValueError, match="recurrent"):
        expected_outcomes(PolicyNetwork([Dense(np.zeros((2, 2)), np.zeros(2), "none")], recurrent=[cell]), game)
    with pytest.raises(ValueError, match="hard_budget"):
        expected_outcomes(network, Game(split="calibration", budget=0.5, hard_budget=True))
    small = PolicyNetwork([Dense(np.zeros((2, 7)), np.zeros(2), "none")])
    with pytest.raises(ValueError, match="ledger"):
        expected_outcomes(small, Game(split="calibration", observation=("progress",)), budget=0.5)
    for bad in (0, -1, math.inf):
        with pytest.raises(ValueError, match="budget="):
            expected_outcomes(network, game, budget=bad)


def test_folds_part_the_train_split_and_nothing_else():
    bank = Bank.open(BANK)
    whole = set(bank.split_problems("train").tolist())
    held_out = []
    for part in cross_validation(bank, 5):
        train_part, fold = set(part.problems("train").tolist()), set(part.problems("calibration").tolist())
        assert train_part | fold == whole
        assert not train_part & fold
        assert not len(part.problems("test"))
        held_out += sorted(fold)
    assert sorted(held_out) == sorted(whole)
    part = learning_curve(bank, 10, seed=0)
    assert len(part.problems("train")) == 10
    assert set(part.problems("train").tolist()) < whole
    np.testing.assert_array_equal(part.problems("test"), bank.split_problems("test"))
    for bad in (1, len(whole) + 1):
        with pytest.raises(ValueError, match=f"folds={bad}"):
            list(cross_validation(bank, bad))
    with pytest.raises(ValueError, match="size=0"):
        learning_curve(bank, 0, seed=0)
