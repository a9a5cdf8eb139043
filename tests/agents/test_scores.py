"""Policies taken out of Stable-Baselines3 models: the same numbers as the model's, for every family of algorithms."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from gymnasium import spaces
from sb3_contrib import QRDQN, MaskablePPO, RecurrentPPO
from stable_baselines3 import DQN, PPO
from stable_baselines3.common.torch_layers import CombinedExtractor
from stable_baselines3.common.vec_env import VecNormalize

from gym_stepwise_routing.agents.lagrangian_ppo import LagrangianPPO
from gym_stepwise_routing.agents.scores import VALUE_TEMPERATURE, scored
from gym_stepwise_routing.envs.sb3 import RoutingVecEnv
from gym_stepwise_routing.evaluation.evaluate import evaluate, play, sweep, threshold_grid
from gym_stepwise_routing.game.game import Game
from gym_stepwise_routing.routers.base import ALWAYS_SMALLEST
from gym_stepwise_routing.routers.policy_network import Dense, PolicyNetwork, tail_probabilities

N = 16


@pytest.fixture(scope="module")
def env():
    return RoutingVecEnv(N, seed=0, mode="escalate", masked_action="project")


@pytest.fixture(scope="module")
def game():
    return Game(split="calibration", mode="escalate", masked_action="project")


def observations(env, seed=0):
    return np.stack([env.observation_space.sample() for _ in range(N)]).clip(-3, 3).astype(np.float32)


def softmax(values):
    chances = np.exp((values - values.max(axis=1, keepdims=True)) / VALUE_TEMPERATURE)
    return chances / chances.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("algorithm", [PPO, MaskablePPO, LagrangianPPO])
@pytest.mark.parametrize("activation", [torch.nn.Tanh, torch.nn.ReLU])
def test_actor_critics(env, algorithm, activation):
    kwargs = {"limit": 0.5} if algorithm is LagrangianPPO else {}
    policy_kwargs = {"net_arch": [7, 5], "activation_fn": activation}
    model = algorithm("MlpPolicy", env, seed=3, device="cpu", policy_kwargs=policy_kwargs, **kwargs)
    seen = observations(env)
    with torch.no_grad():
        expected = model.policy.get_distribution(torch.as_tensor(seen)).distribution.probs.numpy()
    network = scored(model)
    np.testing.assert_allclose(network.probabilities(seen), expected, atol=1e-6)
    np.testing.assert_allclose(network.scores(seen)[:, 0], expected[:, 1], atol=1e-6)
    assert network.name == algorithm.__name__


def test_dqn(env):
    model = DQN("MlpPolicy", env, seed=3, device="cpu", policy_kwargs={"net_arch": [9]}, buffer_size=10)
    seen = observations(env)
    with torch.no_grad():
        values = model.q_net(torch.as_tensor(seen)).numpy()
    np.testing.assert_allclose(scored(model).probabilities(seen), softmax(values), atol=1e-5)
    greedy = scored(model, temperature=1e-3).probabilities(seen).argmax(axis=1)
    np.testing.assert_array_equal(greedy, model.predict(seen, deterministic=True)[0])


def test_qr_dqn(env):
    model = QRDQN("MlpPolicy", env, seed=3, device="cpu", policy_kwargs={"n_quantiles": 5}, buffer_size=10)
    seen = observations(env)
    with torch.no_grad():
        values = model.policy.quantile_net(torch.as_tensor(seen)).mean(dim=1).numpy()
    np.testing.assert_allclose(scored(model).probabilities(seen), softmax(values), atol=1e-5)


@pytest.mark.parametrize("layers", [1, 2])
def test_recurrent_ppo_remembers_the_episode_as_the_model_does(env, game, layers):
    kwargs = {"lstm_hidden_size": 6, "n_lstm_layers": layers, "net_arch": [4]}
    model = RecurrentPPO("MlpLstmPolicy", env, seed=3, device="cpu", policy_kwargs=kwargs)
    network = scored(model)
    network.bind(game.spec)
    states = tuple(torch.zeros(layers, N, 6) for _ in range(2))
    seen = observations(env)
    for step in range(4):
        seen[:, 0] = step / 5
        seen[:3, 0] = 0  # three episodes begin anew at every step
        starts = torch.as_tensor((seen[:, 0] == 0).astype(np.float32))
        with torch.no_grad():
            distribution, states = model.policy.get_distribution(torch.as_tensor(seen), states, starts)
        np.testing.assert_allclose(network.probabilities(seen), distribution.distribution.probs.numpy(), atol=1e-6)
        seen = seen[:, ::-1].copy()


def test_every_family_can_be_swept_and_ends_in_the_constants(env, game):
    models = [
        PPO("MlpPolicy", env, seed=0, device="cpu"),
        DQN("MlpPolicy", env, seed=0, device="cpu", buffer_size=10),
        RecurrentPPO("MlpLstmPolicy", env, seed=0, device="cpu", policy_kwargs={"lstm_hidden_size": 4}),
    ]
    for model in models:
        router = scored(model)
        grid = threshold_grid(router, game, 11)
        outcome = sweep(router, game, grid)
        assert outcome.cost[0].mean() == pytest.approx(1.0)
        assert grid[-1] == ALWAYS_SMALLEST
        assert outcome.cost[-1].mean() == outcome.cost.mean(axis=1).min()
        router.threshold = float(grid[5])
        alone = play(router, game)
        np.testing.assert_array_equal(alone.right, outcome.right[5])
        np.testing.assert_array_equal(alone.cost, outcome.cost[5])


def test_saved_networks_give_the_same_scores_to_the_last_bit(env, game, tmp_path):
    for model in (
        PPO("MlpPolicy", env, seed=0, device="cpu"),
        RecurrentPPO("MlpLstmPolicy", env, seed=0, device="cpu", policy_kwargs={"lstm_hidden_size": 4}),
    ):
        network = scored(model)
        network.save(tmp_path / "router.npz")
        loaded = PolicyNetwork.load(tmp_path / "router.npz")
        seen = observations(env)
        network.bind(game.spec)
        loaded.bind(game.spec)
        np.testing.assert_array_equal(loaded.scores(seen), network.scores(seen))
        assert loaded.name == network.name
    assert [path.name for path in tmp_path.iterdir()] == ["router.npz"]


@pytest.mark.parametrize("threshold", [0.0, 0.2, 0.5, ALWAYS_SMALLEST])
def test_the_threshold_is_saved_and_older_files_have_the_policys_own(threshold, tmp_path):
    PolicyNetwork([Dense(np.eye(2), np.zeros(2), "none")], threshold=threshold).save(tmp_path / "router.npz")
    assert PolicyNetwork.load(tmp_path / "router.npz").threshold == threshold
    with np.load(tmp_path / "router.npz") as file:
        older = {name: value for name, value in file.items() if name != "threshold"}
    np.savez(tmp_path / "router.npz", **older)
    assert PolicyNetwork.load(tmp_path / "router.npz").threshold == 0.5


def test_tail_probabilities_of_three_models():
    tails = tail_probabilities(np.array([[0.2, 0.3, 0.5], [1.0, 0.0, 0.0]]))
    np.testing.assert_allclose(tails, [[0.8, 0.5], [0.0, 0.0]])


def test_a_network_of_another_size_is_refused(game):
    network = PolicyNetwork([Dense(np.zeros((2, 3)), np.zeros(2), "none")])
    with pytest.raises(ValueError, match="takes 3 features and 2 models"):
        network.bind(game.spec)


@pytest.mark.parametrize("temperature", [0, -1, float("nan"), float("inf")])
def test_bad_temperatures(env, temperature):
    with pytest.raises(ValueError, match="temperature"):
        scored(DQN("MlpPolicy", env, device="cpu", buffer_size=10), temperature=temperature)


def test_layers_that_do_not_fit_are_refused():
    layers = [Dense(np.zeros((4, 3)), np.zeros(4), "tanh"), Dense(np.zeros((2, 5)), np.zeros(2), "none")]
    with pytest.raises(ValueError, match="do not fit"):
        PolicyNetwork(layers)


def test_a_policy_of_another_kind_is_refused(env):
    model = PPO("MlpPolicy", env, device="cpu", policy_kwargs={"activation_fn": torch.nn.ELU})
    with pytest.raises(ValueError, match="ELU"):
        scored(model)
    model.policy.features_extractor = CombinedExtractor(spaces.Dict({"a": env.observation_space}))
    with pytest.raises(ValueError, match="CombinedExtractor"):
        scored(model)


@pytest.mark.parametrize("content", [b"", b"not an archive"])
def test_damaged_networks_are_refused(tmp_path, content):
    (tmp_path / "router.npz").write_bytes(content)
    with pytest.raises(ValueError, match="no policy network"):
        PolicyNetwork.load(tmp_path / "router.npz")


def test_pickled_arrays_are_not_loaded(tmp_path):
    with (tmp_path / "router.npz").open("wb") as file:
        np.savez(file, activations=np.array([object()], dtype=object))
    with pytest.raises(ValueError, match="allow_pickle=False"):
        PolicyNetwork.load(tmp_path / "router.npz")


def test_a_model_of_normalised_observations_is_refused_wherever_it_would_play():
    """It would be shown other observations than in training, and come out as another policy without a word."""
    plain = RoutingVecEnv(4, seed=0)
    normalised = VecNormalize(plain, norm_reward=False)
    model = PPO("MlpPolicy", normalised, n_steps=8, batch_size=32, device="cpu")
    for use in (scored, evaluate):
        with pytest.raises(ValueError, match=r"VecNormalize\(norm_obs=True\).*allowed: VecNormalize\(norm_obs=False"):
            use(model)
    rewards = PPO("MlpPolicy", VecNormalize(plain, norm_obs=False), n_steps=8, batch_size=32, device="cpu")
    assert scored(rewards).actions == 2
