"""What keeps training out of corners: the annealed limit, the barrier, feasible budgets, floors, their warnings."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch as th
from stable_baselines3.common.logger import Logger, configure
from stable_baselines3.common.vec_env import VecNormalize

from gym_stepwise_routing.agents.all_budgets import AllBudgetsPPO
from gym_stepwise_routing.agents.lagrangian_ppo import LagrangianPPO
from gym_stepwise_routing.agents.limits import budget_to_show, cheapest, mean_outcome, tilt_to_floor, tilted
from gym_stepwise_routing.agents.run_training import train_run
from gym_stepwise_routing.agents.scores import scored
from gym_stepwise_routing.agents.training import Hyperparameters, absolute, hyperparameters, train
from gym_stepwise_routing.envs.sb3 import RoutingVecEnv
from gym_stepwise_routing.game.config import GameConfig
from gym_stepwise_routing.game.game import Game

GAME = GameConfig(cost_unit="flops", mode="route")


def agent(**arguments):
    return LagrangianPPO("MlpPolicy", RoutingVecEnv(4, GAME, seed=0), n_steps=2, batch_size=4, seed=0, **arguments)


def test_the_limit_moves_from_the_first_rollouts_cost_to_what_was_asked_for():
    model = agent(limit=0.5, limit_anneal=0.8)
    for remaining, expected in ((1.0, 1.1), (0.6, 0.8), (0.2, 0.5), (0.0, 0.5)):
        model._current_progress_remaining = remaining
        assert model.limit_now(0.5, start=1.1 if remaining == 1.0 else 9.9) == pytest.approx(expected)
    model = agent(limit=0.5)
    assert model.limit_now(0.5, start=1.1) == 0.5  # without annealing at once


@pytest.mark.parametrize(("constraint", "sign"), [("cost_limit", 1), ("accuracy_floor", -1)])
def test_the_violation_is_of_the_limit_that_is_logged(constraint, sign):
    model = agent(limit=0.5, constraint=constraint, limit_anneal=1.0)
    model.set_logger(Logger(folder=None, output_formats=[]))
    model.episode_totals = model._new_episode_totals()
    seen = []
    for remaining, achieved in ((1.0, 0.9), (0.5, 0.8), (0.0, 0.8)):
        model._current_progress_remaining = remaining
        model.episode_totals.add(np.full(4, achieved), np.full(4, achieved), np.ones(4, dtype=bool))
        violation = model.take_violation()
        seen += [model.logger.name_to_value["train/limit"], violation]
    assert seen == pytest.approx([0.9, 0.0, 0.7, sign * 0.1, 0.5, sign * 0.3])


@pytest.mark.parametrize("arguments", [{"limit_anneal": 1.5}, {"limit_anneal": -0.1}, {"barrier_coef": -1.0}])
def test_settings_out_of_range_are_named(arguments):
    with pytest.raises(ValueError, match=next(iter(arguments))):
        agent(limit=0.5, **arguments)


def test_the_barrier_pulls_back_a_certain_policy_and_the_entropy_does_not():
    model = agent(limit=0.5)
    policy = model.policy
    with th.no_grad():
        policy.action_net.weight.zero_()
        policy.action_net.bias.copy_(th.tensor([20.0, 0.0]))
    observations = th.as_tensor(model.env.reset())
    actions = th.zeros(4, dtype=th.long)
    gradients = []
    for part in (3, 4):  # entropy, barrier
        policy.zero_grad()
        policy.evaluate_with_barrier(observations, actions)[part].mean().backward()
        gradients.append(float(policy.action_net.bias.grad[1]))
    assert abs(gradients[0]) < 1e-6
    assert gradients[1] == pytest.approx(0.5, abs=1e-3)


def test_masked_actions_have_no_part_in_the_barrier():
    model = agent(limit=0.5)
    observations = th.as_tensor(model.env.reset())
    only_large = np.array([[False, True]] * 4)
    barrier = model.policy.evaluate_with_barrier(observations, th.ones(4, dtype=th.long), only_large)[4]
    np.testing.assert_allclose(barrier.detach().numpy(), 0.0, atol=1e-6)


def test_the_documented_command_does_not_end_at_always_smallest():
    """Without annealing and barrier: 0.200 right at cost 0.317, on each of four seeds."""
    network = scored(train("lagrangian_ppo", seed=0, game=GAME, limit=0.5))
    accuracy, cost = mean_outcome(network, Game(GAME))
    assert cost == pytest.approx(0.5, abs=0.05)
    assert accuracy > 0.27


def test_budgets_that_nobody_can_meet_are_not_trained_on():
    settings = Hyperparameters(32, 64, budget=(0.05, 1.0), algorithm={"n_steps": 4, "batch_size": 64})
    low, high = train("all_budgets", seed=0, game=GAME, settings=settings).get_env().env.game.budget
    assert low == pytest.approx(cheapest(Game(GAME)), abs=1e-6)
    assert high == 1.0
    with pytest.raises(ValueError, match=r"budget=\(0.05, 0.2\)"):
        train("all_budgets", seed=0, game=GAME, settings=replace(settings, budget=(0.05, 0.2)))


def test_a_budget_that_cannot_be_met_is_warned_of():
    game = Game(GAME)
    network = scored(agent(limit=0.5))
    with pytest.warns(UserWarning, match=r"limit=0.1 cannot be kept"):
        assert budget_to_show(network, game, 0.1) == 0.05


def test_all_budgets_refuses_scaled_observations():
    env = RoutingVecEnv(4, GAME, seed=0, budget=(0.4, 1.0))
    with pytest.raises(ValueError, match="VecNormalize"):
        AllBudgetsPPO("MlpPolicy", VecNormalize(env), n_steps=2, batch_size=4)


def test_all_budgets_logs_its_knots_and_no_single_multiplier(tmp_path):
    model = AllBudgetsPPO("MlpPolicy", RoutingVecEnv(32, GAME, seed=0, budget=(0.4, 1.0)), n_steps=8, batch_size=64)
    model.set_logger(configure(str(tmp_path), ["json"]))
    model.learn(768)
    logged = {key for line in (tmp_path / "progress.json").open() for key in json.loads(line)}
    assert {f"train/lagrange_multiplier_{knot}" for knot in range(5)} <= logged
    assert "train/lagrange_multiplier" not in logged


@pytest.mark.parametrize("floor", [0.3, 0.5])
@pytest.mark.parametrize("bias", [-2.0, 2.0])
def test_a_floor_is_kept_from_either_side(floor, bias):
    game = Game(split="train", cost_unit="large_tokens")
    model = agent(limit=0.5)
    with th.no_grad():
        model.policy.action_net.bias.copy_(th.tensor([0.0, bias]))
    network = scored(model)
    tilt = tilt_to_floor(network, game, floor)
    assert mean_outcome(tilted(network, tilt), game)[0] == pytest.approx(floor, abs=1e-4)
    assert np.sign(tilt) == np.sign(bias)


def test_a_floor_may_be_a_share_of_always_largest(tmp_path):
    resolved = absolute({"limit": 0.5, "constraint": "relative_floor"}, GAME)
    assert resolved == {"limit": pytest.approx(0.5 * 365 / 640), "constraint": "accuracy_floor"}
    with pytest.raises(ValueError, match=r"limit=1.5 with constraint='relative_floor'"):
        absolute({"limit": 1.5, "constraint": "relative_floor"}, GAME)
    settings = Hyperparameters(32, 256, algorithm={"n_steps": 4, "batch_size": 64})
    router = train_run(
        "lagrangian_ppo",
        tmp_path / "run",
        seed=0,
        game=GAME,
        settings=settings,
        limit=0.8,
        constraint="relative_floor",
    )
    assert router.manifest.arguments["limit"] == pytest.approx(0.8 * 365 / 640)
    assert router.manifest.limit_kept


@pytest.mark.parametrize("rate", ["linear", "linear_x", "cosine_0.1", "linear_-1"])
def test_schedules_are_read_or_refused(rate):
    settings = Hyperparameters(4, 8, algorithm={"n_steps": 2, "batch_size": 4, "learning_rate": rate})
    with pytest.raises(ValueError, match="learning_rate"):
        train("ppo", seed=0, game=GameConfig(), settings=settings)


def test_shipped_rates_fall_to_zero():
    assert hyperparameters("lagrangian_ppo").algorithm["learning_rate"] == "linear_0.003"
    settings = Hyperparameters(32, 256, algorithm={"n_steps": 4, "batch_size": 64, "learning_rate": "linear_0.003"})
    model = train("ppo", seed=0, game=GameConfig(), settings=settings)
    assert [model.lr_schedule(left) for left in (1.0, 0.5, 0.0)] == pytest.approx([0.003, 0.0015, 0.0])
