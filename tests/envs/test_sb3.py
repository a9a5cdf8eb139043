"""The Stable-Baselines3 adapter: the vector environment, with SB3's conventions for ends of episodes."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from fake_sources import TreeSource, Untabulated
from gymnasium.vector import AutoresetMode

pytest.importorskip("stable_baselines3", reason="the adapter needs the extra 'agents'")

from sb3_contrib import MaskablePPO
from sb3_contrib.common.maskable.evaluation import evaluate_policy
from sb3_contrib.common.maskable.utils import get_action_masks, is_masking_supported
from stable_baselines3 import DQN, PPO
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

from gym_stepwise_routing.agents.scores import scored
from gym_stepwise_routing.calibration import RelativeAccuracy, calibrate
from gym_stepwise_routing.envs import StepwiseRoutingEnv, StepwiseRoutingVectorEnv
from gym_stepwise_routing.envs.sb3 import RoutingVecEnv
from gym_stepwise_routing.evaluation.evaluate import evaluate, play, sweep
from gym_stepwise_routing.game.game import Game
from gym_stepwise_routing.types import SOURCES as KINDS

SOURCES = {"bank": "gsm8k-qwen2.5-coder", "rules": Untabulated(TreeSource(1, gaps=0.1))}
HARD = {"budget": (0.3, 1.0), "hard_budget": True, "cost_unit": "large_tokens", "masked_action": "project"}


@pytest.mark.parametrize("mode", ["route", "escalate", "regenerate"])
@pytest.mark.parametrize("source", SOURCES)
def test_it_is_the_vector_environment(source, mode):
    game = {"source": SOURCES[source], "mode": mode, "normaliser": 60.0 if source == "bank" else 30.0, **HARD}
    adapter = RoutingVecEnv(7, seed=5, penalty=0.2, **game)
    vector = StepwiseRoutingVectorEnv(7, autoreset_mode=AutoresetMode.SAME_STEP, **game)
    np.testing.assert_array_equal(adapter.reset(), vector.reset(seed=5)[0])
    rng = np.random.default_rng(0)
    returns, costs, lengths, ends = np.zeros(7), np.zeros(7), np.zeros(7, dtype=int), 0
    for _ in range(40):
        np.testing.assert_array_equal(adapter.action_masks(), vector.action_masks())
        actions = rng.integers(2, size=7)
        observation, reward, done, infos = adapter.step(actions)
        expected, plain, terminated, truncated, info = vector.step(actions)
        np.testing.assert_array_equal(observation, expected)
        assert (observation.dtype, reward.dtype, done.dtype) == (np.float32, np.float32, np.bool_)
        np.testing.assert_allclose(reward, plain - 0.2 * info["cost"], rtol=1e-6)
        np.testing.assert_array_equal(done, terminated | truncated)
        np.testing.assert_array_equal([row["cost"] for row in infos], info["cost"])
        np.testing.assert_array_equal(adapter.last_costs, info["cost"].astype(np.float32))
        returns, costs, lengths = returns + reward, costs + info["cost"], lengths + 1
        for row in range(7):
            assert ("terminal_observation" in infos[row]) == ("episode" in infos[row]) == done[row]
            if done[row]:
                np.testing.assert_array_equal(infos[row]["terminal_observation"], info["final_obs"][row])
                assert infos[row]["TimeLimit.truncated"] is False
                episode = infos[row]["episode"]
                assert episode["r"] == pytest.approx(returns[row])
                assert episode["c"] == pytest.approx(costs[row])
                assert episode["l"] == lengths[row]
                returns[row] = costs[row] = lengths[row] = 0
                ends += 1
    assert ends > 20


def test_episodes_agree_with_monitored_scalar_environments():
    """The same decisions on the same problems, through DummyVecEnv and Monitor."""
    scalar = DummyVecEnv([lambda: Monitor(StepwiseRoutingEnv())])
    adapter = RoutingVecEnv(1, seed=0)
    first = adapter.reset()
    scalar.set_options({"problem": int(adapter.reset_infos[0]["problem"])})
    np.testing.assert_array_equal(scalar.reset(), first)
    while True:
        expected, result = scalar.step(np.array([1])), adapter.step(np.array([1]))
        np.testing.assert_array_equal(result[1], expected[1])
        np.testing.assert_array_equal(result[2], expected[2])
        if expected[2][0]:
            break
        np.testing.assert_array_equal(result[0], expected[0])
    ours, theirs = result[3][0], expected[3][0]
    np.testing.assert_array_equal(ours["terminal_observation"], theirs["terminal_observation"])
    assert (ours["episode"]["r"], ours["episode"]["l"]) == (theirs["episode"]["r"], theirs["episode"]["l"])
    assert ours["TimeLimit.truncated"] is theirs["TimeLimit.truncated"] is False


def test_options_reach_the_next_reset_and_no_later_one():
    env = RoutingVecEnv(3, seed=0)
    problems = [int(problem) for problem in env.env.game.problems[[4, 0, 9]]]
    env.set_options([{"problem": problem, "budget": 0.5} for problem in problems])
    env.reset()
    assert [info["problem"] for info in env.reset_infos] == problems
    assert [info["budget"] for info in env.reset_infos] == [0.5] * 3
    drawn = set()
    for _ in range(5):
        env.reset()
        assert [info["budget"] for info in env.reset_infos] == [np.inf] * 3
        drawn |= {tuple(info["problem"] for info in env.reset_infos)}
    assert len(drawn) > 1
    env.set_options({"problem": "gsm8k/train/0"})
    env.reset()
    assert len({info["problem"] for info in env.reset_infos}) == 1


def test_reset_infos_follow_the_episodes():
    env = RoutingVecEnv(20, mode="escalate", seed=0, budget=(0.3, 1.0))
    env.reset()
    for _ in range(12):
        env.step(np.ones(20, dtype=np.int64))
        for row, info in enumerate(env.reset_infos):
            assert info["problem"] == env.env._stands().problem[row]
            assert info["budget"] == env.env._budgets[row]
            assert info["action_mask"].tolist() == [True, True]
            assert KINDS[info["source"]] == "bank"
            assert info["simulated"] == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"problems": 3}, "reset option='problems' is not known; allowed: 'problem', 'budget'"),
        ([{"budget": 0.5}], "options: 1 dictionaries; allowed: one for all, or 2"),
        ([{"budget": 0.5}, {}], r"options with \['budget'\] and \[\]; allowed: the same keys for all"),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(ValueError, match=message):
        RoutingVecEnv(2).set_options(options)


def test_plain_ppo_trains_in_escalate_and_is_evaluated_with_default_arguments():
    model = PPO("MlpPolicy", RoutingVecEnv(32, mode="escalate", seed=0), n_steps=8, batch_size=64, n_epochs=1, seed=0)
    model.learn(256)
    result = evaluate(model, split="calibration", mode="escalate")
    game = Game(split="calibration", mode="escalate")
    np.testing.assert_array_equal(play(model, game).right, result.right)
    assert len(sweep(scored(model), game, [0.0, 0.5]).thresholds) == 2
    calibrated = calibrate(scored(model), game, target=RelativeAccuracy(0.8), method="empirical", thresholds=[0.0, 0.5])
    assert play(calibrated, game).mode == "escalate"


def test_masked_actions_are_an_error_where_one_asks_for_it():
    env = RoutingVecEnv(64, mode="escalate", seed=0, masked_action="error")
    env.reset()
    env.step(np.ones(64, dtype=np.int64))
    assert not env.action_masks().all()
    with pytest.raises(ValueError, match=r"is masked here; allowed: \[1\], or masked_action='project'"):
        env.step(np.zeros(64, dtype=np.int64))


def test_truncations_are_final_and_not_bootstrapped():
    """A hard budget truncates; SB3 adds gamma * V(terminal observation) to the reward only where the key is True."""
    adapter = RoutingVecEnv(16, seed=0, budget=0.05, hard_budget=True)
    adapter.reset()
    _, reward, done, infos = adapter.step(np.ones(16, dtype=np.int64))
    assert done.all()
    assert not reward.any()
    assert not any(info["TimeLimit.truncated"] for info in infos)


def test_seeds_repeat_and_unseeded_environments_differ():
    def draws(env):
        env.reset()
        return [info["problem"] for info in env.reset_infos]

    one, other = RoutingVecEnv(30, seed=1), RoutingVecEnv(30, seed=1)
    assert draws(one) == draws(other)
    assert draws(one) == draws(other)  # the next reset goes on drawing
    one.seed(9)
    other.seed(9)
    assert draws(one) == draws(other)
    assert draws(RoutingVecEnv(30)) != draws(RoutingVecEnv(30))


def test_it_pickles_in_the_middle_of_episodes():
    env = RoutingVecEnv(6, seed=0)
    env.reset()
    env.step(np.zeros(6, dtype=np.int64))
    twin = pickle.loads(pickle.dumps(env))
    for _ in range(10):
        one, other = env.step(np.ones(6, dtype=np.int64)), twin.step(np.ones(6, dtype=np.int64))
        for expected, result in zip(one[:3], other[:3], strict=True):
            np.testing.assert_array_equal(result, expected)


def test_what_sb3_asks_of_a_vec_env():
    env = RoutingVecEnv(4, mode="escalate")
    env.reset()
    assert env.get_attr("feature_names") == [env.env.feature_names] * 4
    assert env.get_attr("render_mode", indices=[0, 2]) == [None, None]
    assert env.env_is_wrapped(Monitor, indices=0) == [True]
    assert env.env_is_wrapped(VecNormalize) == [False] * 4
    assert list(env.get_images()) == [None] * 4
    assert env.has_attr("action_masks")
    masks = env.env_method("action_masks", indices=[1, 3])
    assert [mask.tolist() for mask in masks] == [[True, True]] * 2
    env.set_attr("note", 3)
    assert env.get_attr("note") == [3] * 4
    with pytest.raises(ValueError, match=r"indices=\[0\]; allowed: None"):
        env.set_attr("note", 4, indices=[0])
    assert is_masking_supported(env)
    env.step(np.ones(4, dtype=np.int64))
    np.testing.assert_array_equal(get_action_masks(env), env.action_masks())
    env.close()


@pytest.mark.parametrize("penalty", [-1.0, float("nan")])
def test_bad_penalties(penalty):
    with pytest.raises(ValueError, match=r"penalty=.*; allowed: a finite number >= 0"):
        RoutingVecEnv(2, penalty=penalty)


@pytest.mark.parametrize(
    ("algorithm", "arguments"),
    [
        (PPO, {"n_steps": 8, "batch_size": 64, "n_epochs": 1}),
        (MaskablePPO, {"n_steps": 8, "batch_size": 64, "n_epochs": 1}),
        (DQN, {"learning_starts": 32, "buffer_size": 500, "train_freq": 4}),
    ],
)
def test_sb3_trains_on_it_and_the_model_is_a_router(algorithm, arguments):
    env = RoutingVecEnv(16, mode="escalate" if algorithm is MaskablePPO else "route", seed=0)
    model = algorithm("MlpPolicy", env, seed=0, device="cpu", **arguments)
    model.learn(128)
    assert model.num_timesteps >= 128
    assert len(model.ep_info_buffer) > 0
    result = evaluate(model, split="test")
    assert len(result) == 400
    assert result.router == algorithm.__name__


def test_maskable_evaluation_runs_on_it():
    env = RoutingVecEnv(8, mode="escalate", seed=0)
    model = MaskablePPO("MlpPolicy", env, n_steps=8, device="cpu", seed=0)
    mean, _ = evaluate_policy(model, env, n_eval_episodes=20)
    assert 0 <= mean <= 1
