"""Inputs of one scale: what is measured, and that the exported policy is the trained one without it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from fake_sources import TreeSource
from sb3_contrib import QRDQN, MaskablePPO, RecurrentPPO
from stable_baselines3 import DQN, PPO
from stable_baselines3.common.torch_layers import FlattenExtractor
from stable_baselines3.common.vec_env import VecNormalize

from gym_stepwise_routing.agents.ccpo import CCPO
from gym_stepwise_routing.agents.lagrangian_ppo import LagrangianPPO
from gym_stepwise_routing.agents.scaling import Scale, extractor_arguments, measure, scale_of
from gym_stepwise_routing.agents.scores import VALUE_TEMPERATURE, scored
from gym_stepwise_routing.agents.training import Hyperparameters, train
from gym_stepwise_routing.envs.sb3 import RoutingVecEnv
from gym_stepwise_routing.game.config import GameConfig
from gym_stepwise_routing.game.game import Game

N = 16


@pytest.fixture(scope="module")
def env():
    return RoutingVecEnv(N, seed=0, mode="escalate")


@pytest.fixture(scope="module")
def scale(env):
    return scale_of(env.env.game)


def test_the_scale_is_that_of_states_that_a_coin_reaches(env, scale):
    table = env.env.game.table
    # a coin, played along every path: each decision halves what is left of a problem
    chance = np.zeros(len(table))
    chance[table.roots] = 1.0
    for row in range(len(table)):
        for child in table.child[row][table.mask[row]]:
            chance[child] += chance[row] / table.mask[row].sum()
    decides = ~table.stuck
    weight = chance[decides] / chance[decides].sum()
    seen = table.observation[decides].astype(np.float64)
    mean = weight @ seen
    deviation = np.sqrt(weight @ (seen - mean) ** 2)
    np.testing.assert_allclose(scale.centre, mean, atol=1e-6)
    varies = deviation > 1e-6
    np.testing.assert_allclose(scale.factor[varies], 1 / deviation[varies], rtol=1e-4)


def test_a_constant_feature_is_left_out(env, scale):
    names = list(env.env.game.spec.feature_names)
    assert scale.factor[names.index("budget_known")] == 0.0
    assert scale.factor[names.index("depth")] > 0.0
    model = PPO("MlpPolicy", env, seed=0, device="cpu", policy_kwargs=extractor_arguments(scale))
    assert not scored(model).dense[0].weight[:, scale.factor == 0.0].any()


def test_rows_are_weighted():
    found = measure(np.array([[0.0], [4.0], [100.0]]), np.array([3.0, 1.0, 0.0]))
    np.testing.assert_allclose([found.centre[0], 1 / found.factor[0]], [1.0, np.sqrt(3.0)])
    np.testing.assert_allclose(found(np.array([[1.0], [4.0]])), [[0.0], [np.sqrt(3.0)]])


def test_a_single_state_is_constant_in_everything():
    assert not measure(np.array([[0.3, 7.0]]), np.ones(1)).factor.any()


def test_budgets_that_are_drawn_have_the_spread_of_their_range():
    game = Game(mode="escalate", budget=(0.2, 0.8))
    plain = scale_of(Game(mode="escalate"))
    found = scale_of(game)
    names = list(game.spec.feature_names)
    left, spent = names.index("budget_left"), names.index("spent")
    assert found.centre[left] == pytest.approx(0.5 - plain.centre[spent], abs=1e-6)
    assert found.factor[left] ** -2 == pytest.approx(0.6**2 / 12 + plain.factor[spent] ** -2, rel=1e-4)


def test_a_random_source_is_sampled():
    game = Game("gsm8k-like", cost_unit="large_tokens")
    found = scale_of(game, seed=1)
    varies = found.factor > 0
    again = scale_of(game, seed=2)
    np.testing.assert_array_equal(varies, again.factor > 0)
    assert varies.sum() > 10
    np.testing.assert_allclose(found.factor[varies], again.factor[varies], rtol=0.2)


def test_a_live_source_is_not_played_to_be_measured():
    class Live(TreeSource):
        kind = "live"

        def step(self, *_):
            raise AssertionError("a call")

    game = Game(Live(0, deterministic=False), normaliser=1.0)
    np.testing.assert_array_equal(scale_of(game)(np.ones((1, len(game.spec.features)))), 1.0)


def observations(env):
    table = env.env.game.table
    return table.observation[np.flatnonzero(~table.stuck)[:: len(table) // 40][:N]].copy()


@pytest.mark.parametrize("algorithm", [PPO, MaskablePPO, LagrangianPPO, CCPO])
def test_actor_critics_are_exported_with_their_scale(env, scale, algorithm):
    limits = {"limit": 0.5} if algorithm in (LagrangianPPO, CCPO) else {}
    model = algorithm("MlpPolicy", env, seed=3, device="cpu", policy_kwargs=extractor_arguments(scale), **limits)
    seen = observations(env)
    with torch.no_grad():
        expected = model.policy.get_distribution(torch.as_tensor(seen)).distribution.probs.numpy()
    assert type(model.policy.features_extractor).__name__ == "StandardisedExtractor"
    np.testing.assert_allclose(scored(model).probabilities(seen), expected, atol=1e-5)


@pytest.mark.parametrize("algorithm", [DQN, QRDQN])
def test_values_are_exported_with_their_scale(env, scale, algorithm):
    kwargs = extractor_arguments(scale) | {"net_arch": [5]}
    model = algorithm("MlpPolicy", env, seed=3, device="cpu", policy_kwargs=kwargs, buffer_size=10)
    seen = observations(env)
    with torch.no_grad():
        if algorithm is DQN:
            values = model.q_net(torch.as_tensor(seen)).numpy()
        else:
            values = model.policy.quantile_net(torch.as_tensor(seen)).mean(dim=1).numpy()
    odds = np.exp((values[:, 1] - values[:, 0]) / VALUE_TEMPERATURE)
    np.testing.assert_allclose(scored(model).scores(seen)[:, 0], odds / (1 + odds), atol=1e-4)


def test_a_memory_is_exported_with_its_scale(env, scale):
    kwargs = extractor_arguments(scale) | {"lstm_hidden_size": 6, "net_arch": [4]}
    model = RecurrentPPO("MlpLstmPolicy", env, seed=3, device="cpu", policy_kwargs=kwargs)
    network = scored(model)
    network.bind(env.env.game.spec)
    seen = observations(env)
    seen[:, 0] = 0
    states = tuple(torch.zeros(1, N, 6) for _ in range(2))
    with torch.no_grad():
        distribution, _ = model.policy.get_distribution(torch.as_tensor(seen), states, torch.ones(N))
    np.testing.assert_allclose(network.probabilities(seen), distribution.distribution.probs.numpy(), atol=1e-5)


def test_observations_scaled_by_vec_normalize_are_refused(env):
    model = PPO("MlpPolicy", VecNormalize(env, norm_obs=True), device="cpu")
    with pytest.raises(ValueError, match="VecNormalize"):
        scored(model)
    assert scored(PPO("MlpPolicy", VecNormalize(env, norm_obs=False), device="cpu")).actions == 2


def test_every_training_is_scaled_unless_it_brings_an_extractor():
    game = GameConfig(mode="escalate")
    settings = Hyperparameters(n_envs=2, total_timesteps=1, algorithm={"n_steps": 2, "batch_size": 2})
    own = {"policy_kwargs": {"features_extractor_class": FlattenExtractor, "net_arch": [3]}}
    models = [train("ppo", seed=0, game=game, settings=settings, **given) for given in ({}, own)]
    found = [type(model.policy.features_extractor).__name__ for model in models]
    assert found == ["StandardisedExtractor", "FlattenExtractor"]
    expected = scale_of(models[0].env.env.game)
    np.testing.assert_allclose(models[0].policy.features_extractor.scale.factor, expected.factor, rtol=1e-6)


def test_a_scale_of_another_size_is_refused(env):
    with pytest.raises(ValueError, match="centre of 3 numbers; allowed: one a feature, 37"):
        PPO("MlpPolicy", env, policy_kwargs=extractor_arguments(Scale(np.zeros(3), np.ones(3))))
