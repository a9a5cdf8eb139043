"""Banks with too little to learn from: a clear error, or what is said to happen instead."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from bank_parts import bank_part

from gym_stepwise_routing.agents.agent import AGENTS
from gym_stepwise_routing.agents.scores import scored
from gym_stepwise_routing.agents.training import hyperparameters, train
from gym_stepwise_routing.evaluation.evaluate import play
from gym_stepwise_routing.game.config import GameConfig
from gym_stepwise_routing.game.game import Game

UNIT = "large_tokens"
SHORT = {"n_steps": 4, "learning_starts": 8, "batch_size": 16}


def quickly(agent, game):
    settings = hyperparameters(agent)
    own = settings.algorithm
    if agent == "exact":
        short = replace(settings, total_timesteps=10, algorithm=own | {"folds": 2})
    else:
        changed = {name: value for name, value in SHORT.items() if name in own}
        short = replace(settings, n_envs=4, total_timesteps=64, algorithm=own | changed)
    limits = {"limit": 0.5} if AGENTS.get(agent).constrained else {}
    return scored(train(agent, seed=0, game=game, settings=short, **limits))


@pytest.mark.parametrize("solved", [True, False])
@pytest.mark.parametrize("agent", ["all_budgets", "ccpo", "lagrangian_ppo", "maskable_ppo", "dqn"])
def test_one_problem_is_enough_to_sample_from(agent, solved):
    game = GameConfig(bank_part(size=1, solved=solved), cost_unit=UNIT)
    network = quickly(agent, game)
    assert all(np.isfinite(layer.weight).all() and np.isfinite(layer.bias).all() for layer in network.dense)
    assert len(play(network, Game(game))) == 1


def test_exact_needs_two_problems():
    with pytest.raises(ValueError, match="1 train problem; allowed: at least 2"):
        quickly("exact", GameConfig(bank_part(size=1), cost_unit=UNIT))


@pytest.mark.parametrize("agent", ["exact", "all_budgets", "ccpo", "dqn"])
def test_what_is_constant_in_training_moves_no_decision(agent):
    """``budget_known`` is 0 in a game without a budget, 1 where budgets are drawn."""
    game = GameConfig(bank_part(size=6), cost_unit=UNIT)
    network = quickly(agent, game)
    names = Game(game).spec.feature_names
    column = names.index("budget_known")
    rows = np.random.default_rng(0).random((50, len(names))).astype(np.float32)
    rows[:, column] = float(agent == "all_budgets")
    other = rows.copy()
    other[:, column] = 1 - rows[:, column] + 100.0
    np.testing.assert_allclose(network.scores(rows), network.scores(other), rtol=1e-6)
    assert not network.dense[0].weight[:, column].any()
