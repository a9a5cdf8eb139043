"""Keeping a cost limit after training: the tilt, and the budget to show."""

from __future__ import annotations

import numpy as np
import pytest

from gym_stepwise_routing.agents.limits import MAX_TILT, budget_to_show, mean_outcome, tilt_to_limit, tilted
from gym_stepwise_routing.agents.run_training import train_run
from gym_stepwise_routing.agents.runs import load_run
from gym_stepwise_routing.agents.training import Hyperparameters
from gym_stepwise_routing.evaluation.expectation import expected_outcomes
from gym_stepwise_routing.game.config import GameConfig
from gym_stepwise_routing.game.game import Game
from gym_stepwise_routing.routers.base import columns_of
from gym_stepwise_routing.routers.policy_network import Dense, PolicyNetwork

UNIT = "large_tokens"


def policy(game, *, bias=0.0, seed=0, temperature=1.0):
    """A policy that depends a little on everything; ``bias`` speaks for the larger model."""
    rng = np.random.default_rng(seed)
    weight = rng.normal(scale=0.3, size=(2, len(game.spec.features)))
    return PolicyNetwork([Dense(weight, np.array([0.0, bias]), "none")], temperature=temperature)


@pytest.fixture(scope="module")
def game():
    return Game(split="train", cost_unit=UNIT)


@pytest.mark.parametrize("temperature", [1.0, 0.1])
def test_tilting_is_reweighting(game, temperature):
    network = policy(game, temperature=temperature)
    network.bind(game.spec)
    seen = np.random.default_rng(1).normal(size=(20, len(game.spec.features)))
    weighted = network.probabilities(seen) * np.exp(-0.7 * np.array([0.0, 1.0]))
    np.testing.assert_allclose(
        tilted(network, 0.7).probabilities(seen), weighted / weighted.sum(axis=1, keepdims=True), rtol=1e-12
    )


def test_quantile_networks_tilt_every_quantile(game):
    weight = np.random.default_rng(0).normal(size=(6, len(game.spec.features)))
    network = PolicyNetwork([Dense(weight, np.zeros(6), "none")], quantiles=3, temperature=0.1)
    seen = np.random.default_rng(1).normal(size=(5, len(game.spec.features)))
    odds = [np.divide(*p.T) for p in (network.probabilities(seen), tilted(network, 0.7).probabilities(seen))]
    np.testing.assert_allclose(odds[1], odds[0] * np.exp(0.7), rtol=1e-9)


@pytest.mark.parametrize("limit", [0.1, 0.3, 0.5, 0.9])
@pytest.mark.parametrize("bias", [-2.0, 2.0])
def test_the_limit_is_kept_to_a_thousandth_of_it(game, limit, bias):
    network = policy(game, bias=bias)
    accuracy, cost = mean_outcome(network, game)
    tilt = tilt_to_limit(network, game, limit)
    after, spent = mean_outcome(tilted(network, tilt), game)
    assert spent <= limit
    if cost > limit:
        assert tilt > 0
        assert spent == pytest.approx(limit, rel=1e-3)
    else:
        assert tilt <= 0
        assert after >= accuracy


def test_a_limit_below_every_policy_gives_the_cheapest():
    game = Game(split="train", cost_unit="flops")
    network = policy(game)
    tilt = tilt_to_limit(network, game, 1e-6)
    assert tilt == MAX_TILT
    cheapest = mean_outcome(tilted(network, 500.0), game)[1]
    assert mean_outcome(tilted(network, tilt), game)[1] == pytest.approx(cheapest, rel=1e-6)


def test_on_a_random_source_it_is_kept_on_the_same_draws():
    game = Game("gsm8k-like", split="calibration", cost_unit=UNIT)
    network = policy(game, bias=1.0)
    tilt = tilt_to_limit(network, game, 0.4, plays=2)
    assert mean_outcome(tilted(network, tilt), game, plays=2)[1] == pytest.approx(0.4, abs=0.005)


def test_the_budget_to_show_spends_the_limit(game):
    columns = columns_of(game.spec, "budget_left")
    weight = np.zeros((2, len(game.spec.features)))
    weight[1, columns[0]] = 6.0  # a policy that spends too much at every budget
    network = PolicyNetwork([Dense(weight, np.zeros(2), "none")])
    assert mean_outcome(network, game, budget=0.6)[1] > 0.6
    shown = budget_to_show(network, game, 0.6)
    assert shown < 0.6
    assert expected_outcomes(network, game, budget=shown)[1].mean() == pytest.approx(0.6, rel=1e-3)
    assert budget_to_show(network, game, 0.001) == 0.05
    assert budget_to_show(network, game, 5.0) == 1.0


def test_a_run_of_lagrangian_ppo_keeps_its_limit_and_says_how(tmp_path):
    settings = Hyperparameters(32, 600, algorithm={"n_steps": 4, "batch_size": 64})
    game = GameConfig(cost_unit=UNIT)
    router = train_run("lagrangian_ppo", tmp_path / "run", seed=0, game=game, settings=settings, limit=0.3)
    assert router.manifest.tilt != 0  # 600 steps do not bring it there
    loaded = load_run(tmp_path / "run")
    assert loaded.manifest.tilt == router.manifest.tilt
    assert mean_outcome(loaded.network, Game(game))[1] == pytest.approx(0.3, rel=1e-3)
    free = train_run("lagrangian_ppo", tmp_path / "free", seed=0, game=game, settings=settings, limit=float("inf"))
    assert free.manifest.tilt == 0
