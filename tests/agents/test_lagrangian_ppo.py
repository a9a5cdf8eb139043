"""LagrangianPPO as Stable-Baselines3 sees it: guards, masks, saving, resuming, callbacks, logs, bad input."""

from __future__ import annotations

import csv
import math
from pathlib import Path

import gymnasium
import numpy as np
import pytest
import torch as th
from cmdp_toys import IdentityEnv, TwoStateEnv, TwoStateVecEnv
from sb3_contrib import MaskablePPO
from stable_baselines3.common.callbacks import CheckpointCallback, EvalCallback
from stable_baselines3.common.logger import configure
from stable_baselines3.common.vec_env import DummyVecEnv
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from gym_stepwise_routing.agents.common.policies import tail_probabilities
from gym_stepwise_routing.agents.lagrangian_ppo import CostActorCriticPolicy, LagrangianPPO

STATES = np.eye(2, dtype=np.float32)


def make(n_envs: int = 16, *, limit: float = 0.25, **settings: object) -> LagrangianPPO:
    arguments = {"n_steps": 8, "batch_size": 64, "policy_kwargs": {"net_arch": [8]}, "seed": 0, **settings}
    return LagrangianPPO("MlpPolicy", TwoStateVecEnv(n_envs), limit=limit, **arguments)  # type: ignore[arg-type]


def parameters(model: LagrangianPPO) -> dict[str, np.ndarray]:
    return {name: value.detach().numpy() for name, value in model.policy.named_parameters()}


def assert_same(first: LagrangianPPO, second: LagrangianPPO) -> None:
    assert first.lagrange == second.lagrange
    theirs = parameters(second)
    for name, value in parameters(first).items():
        np.testing.assert_array_equal(value, theirs[name], err_msg=name)


def test_is_a_maskable_ppo() -> None:
    assert issubclass(LagrangianPPO, MaskablePPO)


@pytest.mark.parametrize("multiplier", ["dual_ascent", "pid"])
def test_cost_limit_zero_saturates_the_multiplier_and_says_so(multiplier: str, tmp_path: Path) -> None:
    model = make(limit=0.0, multiplier=multiplier, multiplier_lr=1.0, multiplier_max=1.0, ent_coef=0.5)
    model.set_logger(configure(str(tmp_path), ["csv"]))
    model.learn(16 * 8 * 30)
    with (tmp_path / "progress.csv").open() as lines:
        rows = list(csv.DictReader(lines))[1:]
    assert max(float(row["train/lagrange_saturated"]) for row in rows) == 1.0
    assert all(float(row["train/constraint_violation"]) >= 0.0 for row in rows)
    assert all(0.0 <= float(row["train/lagrange_multiplier"]) <= 1.0 for row in rows)


def test_infinite_cost_limit_leaves_plain_ppo(tmp_path: Path) -> None:
    model = make(limit=math.inf, multiplier_init=1.0)
    model.set_logger(configure(str(tmp_path), ["csv"]))
    model.learn(16 * 8 * 3)
    assert model.lagrange_multiplier == 0.0
    assert model.combined_advantage(th.ones(1), th.ones(1)).item() == 1.0
    with (tmp_path / "progress.csv").open() as lines:
        assert "train/constraint_violation" not in next(csv.reader(lines))


def test_no_finished_episode_leaves_the_multiplier_alone() -> None:
    env = DummyVecEnv([IdentityEnv] * 2)
    model = LagrangianPPO(
        "MlpPolicy", env, limit=0.0, n_steps=3, batch_size=6, multiplier="dual_ascent", multiplier_init=1.0, seed=0
    )
    model.learn(18, use_masking=False)  # three rollouts of 3 steps; episodes last 10
    assert model.lagrange_multiplier == 1.0
    model.learn(6, use_masking=False, reset_num_timesteps=False)  # the fourth finishes the first episodes
    assert model.lagrange_multiplier > 1.0


@pytest.mark.parametrize(
    ("constraint", "limit", "sign"),
    [("cost_limit", 0.1, 1), ("cost_limit", 0.9, -1), ("accuracy_floor", 1.0, 1), ("accuracy_floor", 0.0, -1)],
)
def test_multiplier_follows_the_violation(constraint: str, limit: float, sign: int) -> None:
    model = make(64, limit=limit, constraint=constraint, multiplier="dual_ascent", multiplier_init=1.0)
    model.learn(64 * 8)
    assert np.sign(model.lagrange_multiplier - 1.0) == sign


@pytest.mark.parametrize("constraint", ["cost_limit", "accuracy_floor"])
def test_combined_advantage(constraint: str) -> None:
    model = make(constraint=constraint, multiplier_init=3.0)
    reward, cost = th.tensor([1.0, 0.0]), th.tensor([0.0, 1.0])
    expected = [0.25, -0.75] if constraint == "cost_limit" else [0.75, -0.25]
    assert model.combined_advantage(reward, cost).tolist() == expected


def test_masks_are_honoured_in_rollouts_and_prediction() -> None:
    env = DummyVecEnv([lambda: TwoStateEnv(allowed=(True, False))] * 4)
    model = LagrangianPPO("MlpPolicy", env, limit=1.0, n_steps=16, seed=0).learn(64)
    assert not model.rollout_buffer.actions.any()
    masks = np.array([[False, True], [True, False]])
    for deterministic in (True, False):
        actions, _ = model.predict(STATES, deterministic=deterministic, action_masks=masks)
        assert actions.tolist() == [1, 0]
    assert model.scores(STATES, masks).flatten() == pytest.approx([1.0, 0.0])


def test_masking_can_be_switched_off_and_its_absence_is_an_error() -> None:
    env = DummyVecEnv([IdentityEnv])
    model = LagrangianPPO("MlpPolicy", env, limit=1.0, seed=0)
    with pytest.raises(ValueError, match="use_masking=True needs an environment with action_masks"):
        model.learn(16)
    model.learn(16, use_masking=False)


def test_predict_takes_one_observation_or_many_without_masks() -> None:
    model = make()
    actions, state = model.predict(STATES)
    assert actions.shape == (2,)
    assert np.issubdtype(actions.dtype, np.integer)
    assert state is None
    assert model.predict(STATES[0])[0].shape == ()


def test_scores_are_tail_probabilities() -> None:
    scores = tail_probabilities(np.array([[0.2, 0.5, 0.3], [1.0, 0.0, 0.0]]))
    np.testing.assert_allclose(scores, [[0.8, 0.3], [0.0, 0.0]])
    model = LagrangianPPO("MlpPolicy", DummyVecEnv([IdentityEnv]), limit=1.0, seed=0)
    observations = np.eye(3, dtype=np.float32)
    scores = model.scores(observations)
    assert scores.shape == (3, 2)
    assert (np.diff(scores, axis=1) <= 0).all()
    # The thresholded action runs from always-largest to always-smallest.
    assert ((scores >= 0.0).sum(axis=1) == 2).all()
    assert ((scores >= 1.0 + 1e-9).sum(axis=1) == 0).all()


def test_same_seed_same_training() -> None:
    assert_same(make().learn(512), make().learn(512))
    other = parameters(make(seed=1).learn(512))
    assert any((value != other[name]).any() for name, value in parameters(make().learn(512)).items())


@pytest.mark.parametrize("multiplier", ["dual_ascent", "pid"])
def test_save_and_load_give_back_the_same_agent(multiplier: str, tmp_path: Path) -> None:
    model = make(multiplier=multiplier).learn(512)
    assert model.lagrange_multiplier != 1.0
    model.save(tmp_path / "agent.zip")
    loaded = LagrangianPPO.load(tmp_path / "agent.zip")
    assert_same(model, loaded)
    assert (loaded.limit, loaded.constraint) == (0.25, "cost_limit")
    np.testing.assert_array_equal(model.scores(STATES), loaded.scores(STATES))
    np.testing.assert_array_equal(
        model.predict(STATES, deterministic=True)[0], loaded.predict(STATES, deterministic=True)[0]
    )


def test_resuming_continues_from_the_saved_multiplier_and_steps(tmp_path: Path) -> None:
    model = make().learn(512)
    model.save(tmp_path / "agent.zip")
    resumed = [LagrangianPPO.load(tmp_path / "agent.zip", env=TwoStateVecEnv(16)) for _ in range(2)]
    for agent in resumed:
        agent.set_random_seed(7)
        assert agent.lagrange == model.lagrange
        agent.learn(256, reset_num_timesteps=False)
        assert agent.num_timesteps == 768
    assert_same(*resumed)
    assert resumed[0].lagrange != model.lagrange


def test_loaded_limit_can_be_changed(tmp_path: Path) -> None:
    make().save(tmp_path / "agent.zip")
    assert LagrangianPPO.load(tmp_path / "agent.zip", limit=0.5).limit == 0.5


def test_checkpoint_and_evaluation_callbacks(tmp_path: Path) -> None:
    model = make()
    evaluation = EvalCallback(
        TwoStateVecEnv(2), eval_freq=8, n_eval_episodes=5, verbose=0, best_model_save_path=str(tmp_path), warn=False
    )
    model.learn(512, callback=[CheckpointCallback(16, str(tmp_path), name_prefix="agent"), evaluation])
    assert (tmp_path / "agent_512_steps.zip").exists()
    assert LagrangianPPO.load(tmp_path / "agent_256_steps.zip").num_timesteps == 256
    assert 0.0 <= evaluation.best_mean_reward <= 1.0


def test_a_callback_can_stop_training() -> None:
    model = make().learn(10_000, callback=lambda local, _: local["self"].num_timesteps < 32)
    assert model.num_timesteps == 32


def test_tensorboard_records(tmp_path: Path) -> None:
    make(tensorboard_log=str(tmp_path)).learn(384)
    events = EventAccumulator(str(tmp_path / "LagrangianPPO_1"))
    events.Reload()
    expected = {
        "rollout/ep_cost",
        "train/limit",
        "train/lagrange_multiplier",
        "train/lagrange_saturated",
        "train/constraint_violation",
        "train/cost_value_loss",
        "train/value_loss",
        "train/cost_explained_variance",
        "train/approx_kl",
    }
    assert expected <= set(events.Tags()["scalars"])
    assert 0.0 < events.Scalars("rollout/ep_cost")[0].value < 1.0


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"limit": None}, "limit=None: give the highest mean episode cost"),
        ({"limit": -0.1}, "limit=-0.1 must be a cost >= 0"),
        ({"limit": math.nan}, "limit=nan must be a cost >= 0"),
        ({"limit": 1.2, "constraint": "accuracy_floor"}, r"limit=1.2 must be an accuracy in \[0, 1\]"),
        ({"constraint": "latency"}, "constraint='latency' is not known; allowed: 'cost_limit', 'accuracy_floor'"),
        ({"multiplier": "adam"}, "multiplier='adam' is not known"),
        ({"cost_gamma": 1.1}, r"cost_gamma=1.1 must lie in \[0, 1\]"),
        ({"gae_lambda": -0.5}, r"gae_lambda=-0.5 must lie in \[0, 1\]"),
    ],
)
def test_bad_arguments_are_named(wrong: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make(**wrong)  # type: ignore[arg-type]


def test_dict_observations_are_refused() -> None:
    class DictEnv(TwoStateEnv):
        def __init__(self) -> None:
            super().__init__()
            self.observation_space = gymnasium.spaces.Dict({"state": self.observation_space})

    with pytest.raises(ValueError, match="flatten it into a Box first"):
        LagrangianPPO(CostActorCriticPolicy, DictEnv(), limit=1.0)
