"""CCPO: what it learns, and how it behaves as a Stable-Baselines3 algorithm and as a router."""

from __future__ import annotations

import csv
import math
from pathlib import Path

import numpy as np
import pytest
import torch as th
from cmdp_toys import IdentityEnv, TwoStateEnv, TwoStateVecEnv, cheapest, optimum
from sb3_contrib import TRPO
from stable_baselines3.common.callbacks import BaseCallback, CheckpointCallback
from stable_baselines3.common.logger import configure
from stable_baselines3.common.vec_env import DummyVecEnv

from gym_stepwise_routing.agents.ccpo import CCPO
from gym_stepwise_routing.agents.ccpo.surrogate import Surrogate, line_search

STATES = np.eye(2, dtype=np.float32)
VALUE_GAP = 0.04


def make(n_envs: int = 16, *, limit: float = 0.6, **settings: object) -> CCPO:
    arguments = {"n_steps": 8, "batch_size": 64, "policy_kwargs": {"net_arch": [8]}, "seed": 0, **settings}
    return CCPO("MlpPolicy", TwoStateVecEnv(n_envs), limit=limit, **arguments)  # type: ignore[arg-type]


def state(model: CCPO) -> dict[str, np.ndarray]:
    return {name: value.numpy().copy() for name, value in model.policy.state_dict().items()}


def assert_same(first: CCPO, second: CCPO) -> None:
    assert first.threshold == second.threshold
    theirs = state(second)
    for name, value in state(first).items():
        np.testing.assert_array_equal(value, theirs[name], err_msg=name)


class Average(BaseCallback):
    """Mean of S over the second half of training: a step of fixed KL radius keeps the last policy moving."""

    def __init__(self, total: int) -> None:
        super().__init__()
        self._from, self.seen = total // 2, list[np.ndarray]()

    def _on_step(self) -> bool:
        return True

    def _on_rollout_end(self) -> None:
        if self.num_timesteps >= self._from:
            with th.no_grad():
                log_probabilities = self.model.policy.target_log_probabilities(th.as_tensor(STATES))  # type: ignore[operator]
            self.seen.append(log_probabilities.exp().numpy()[:, 1])


@pytest.mark.parametrize("selection", ["largest", "uniform"])
@pytest.mark.parametrize(("constraint", "limit"), [("accuracy_floor", 0.6), ("cost_limit", 0.75)])
def test_reaches_the_known_stochastic_optimum(selection: str, constraint: str, limit: float) -> None:
    total = 60_000
    average = Average(total)
    make(256, limit=limit, constraint=constraint, selection=selection, batch_size=512).learn(total, callback=average)
    probabilities = np.mean(average.seen, axis=0)
    accuracy = TwoStateEnv.BASE + probabilities @ np.array(TwoStateEnv.GAIN)
    cost = probabilities @ np.array(TwoStateEnv.COST)
    if constraint == "accuracy_floor":
        best, best_cost = cheapest(limit)
        assert accuracy == pytest.approx(limit, abs=VALUE_GAP)
        assert cost == pytest.approx(best_cost, abs=VALUE_GAP)
    else:
        best, best_accuracy = optimum(limit)
        assert cost == pytest.approx(limit, abs=VALUE_GAP)
        assert accuracy == pytest.approx(best_accuracy, abs=VALUE_GAP)
    np.testing.assert_allclose(probabilities, best, atol=0.1)


def test_is_a_trpo() -> None:
    assert issubclass(CCPO, TRPO)


def test_steps_keep_to_the_trust_region(tmp_path: Path) -> None:
    model = make(64, target_kl=0.01)
    model.set_logger(configure(str(tmp_path), ["csv"]))
    model.learn(64 * 8 * 10)
    with (tmp_path / "progress.csv").open() as lines:
        rows = list(csv.DictReader(lines))[1:]
    divergences = [float(row["train/kl_divergence"]) for row in rows]
    assert min(divergences) >= 0.0
    assert max(divergences) <= 0.01
    assert np.mean([float(row["train/step_accepted"]) for row in rows]) > 0.5
    expected = {"train/kappa", "train/constraint_violation", "train/recovery_step", "train/cost_value_loss"}
    assert expected | {"train/explained_variance", "rollout/ep_cost"} <= set(rows[0])


@pytest.mark.parametrize(
    ("constraint", "limit", "sign"),
    [("accuracy_floor", 1.0, -1), ("accuracy_floor", 0.0, 1), ("cost_limit", 0.0, 1), ("cost_limit", 2.0, -1)],
)
def test_kappa_moves_against_the_violation(constraint: str, limit: float, sign: int) -> None:
    model = make(64, limit=limit, constraint=constraint, selection="largest", kappa_init=0.5)
    model.learn(64 * 8)
    assert np.sign(model.kappa - 0.5) == sign


def test_without_a_finished_episode_scores_and_kappa_stay() -> None:
    env = DummyVecEnv([IdentityEnv] * 2)
    model = CCPO("MlpPolicy", env, limit=1.0, n_steps=3, batch_size=6, seed=0)
    before = model.scores(np.eye(3, dtype=np.float32))
    model.learn(6, use_masking=False)
    assert model.threshold.updates == 0
    np.testing.assert_array_equal(model.scores(np.eye(3, dtype=np.float32)), before)


def test_infinite_limit_improves_the_objective_alone() -> None:
    model = make(64, limit=math.inf, constraint="cost_limit", selection="largest").learn(64 * 8 * 30)
    assert (model.threshold.updates, model.kappa) == (0, 0.5)
    assert model.predict(STATES, deterministic=True)[0].tolist() == [1, 1]


def test_explorers_sample_scores_and_the_rest_the_threshold_policy() -> None:
    model = make(8, selection="largest", explore=0.5)
    model.set_kappa(1.0)  # S is always-smallest
    model.learn(64)
    actions = model.rollout_buffer.actions.reshape(8, 8)  # flattened by environment
    assert actions[:4].any()
    assert not actions[4:].any()
    assert make(1, batch_size=8).policy.n_explorers == 0


@pytest.mark.parametrize("selection", ["largest", "uniform"])
def test_masks_are_honoured(selection: str) -> None:
    env = DummyVecEnv([lambda: TwoStateEnv(allowed=(True, False))] * 4)
    model = CCPO("MlpPolicy", env, limit=0.5, n_steps=16, batch_size=64, selection=selection, seed=0)  # type: ignore[arg-type]
    model.learn(128)
    assert not model.rollout_buffer.actions.any()
    masks = np.array([[False, True], [True, False]])
    for deterministic in (True, False):
        assert model.predict(STATES, deterministic=deterministic, action_masks=masks)[0].tolist() == [1, 0]


def test_a_threshold_on_scores_is_kappa() -> None:
    env = DummyVecEnv([IdentityEnv] * 4)
    model = CCPO("MlpPolicy", env, limit=0.9, selection="largest", n_steps=16, batch_size=64, seed=0)
    model.learn(640, use_masking=False)
    observations = np.random.default_rng(0).random((50, 3)).astype(np.float32)
    scores = model.scores(observations)
    assert scores.shape == (50, 2)
    assert (np.diff(scores, axis=1) <= 0).all()
    for kappa in (0.0, 0.3, 0.34, 0.5, 1.0):
        model.set_kappa(kappa)
        expected = (scores.astype(np.float32) >= np.float32(kappa)).sum(axis=1)
        np.testing.assert_array_equal(model.predict(observations, deterministic=True)[0], expected)


def test_same_seed_same_training() -> None:
    assert_same(make().learn(512), make().learn(512))


def test_save_load_and_resume(tmp_path: Path) -> None:
    model = make().learn(512, callback=CheckpointCallback(16, str(tmp_path), name_prefix="agent"))
    model.save(tmp_path / "agent.zip")
    loaded = CCPO.load(tmp_path / "agent.zip")
    assert_same(model, loaded)
    assert loaded.kappa == model.kappa != 0.5
    np.testing.assert_array_equal(loaded.scores(STATES), model.scores(STATES))
    assert CCPO.load(tmp_path / "agent_256_steps.zip").num_timesteps == 256
    resumed = [CCPO.load(tmp_path / "agent.zip", env=TwoStateVecEnv(16)) for _ in range(2)]
    for agent in resumed:
        agent.set_random_seed(5)
        agent.learn(256, reset_num_timesteps=False)
        assert agent.num_timesteps == 768
        assert agent.threshold.updates == model.threshold.updates + 2
    assert_same(*resumed)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"limit": None}, "limit=None"),
        ({"limit": 1.5}, r"limit=1.5 must be an accuracy in \[0, 1\]"),
        ({"selection": "best"}, "selection='best' is not known; allowed: 'largest', 'uniform'"),
        ({"softness": 0.0}, "softness=0.0 must be above 0"),
        ({"explore": 1.0}, r"explore=1.0 must lie in \[0, 1\)"),
        ({"kappa_init": 0.6}, r"kappa_init=0.6 must lie in \[0, 0.5\]"),
        ({"kappa_decay": 1.0}, "kappa_decay=1.0"),
        ({"gamma": 2.0}, "gamma=2.0"),
    ],
)
def test_bad_arguments_are_named(wrong: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make(**wrong)  # type: ignore[arg-type]


def test_kappa_out_of_range_is_refused() -> None:
    with pytest.raises(ValueError, match=r"kappa=0.7 must lie in \[0, 0.5\]"):
        make(selection="uniform").set_kappa(0.7)


def test_surrogate_and_line_search() -> None:
    model = make(64).learn(64 * 8)
    samples = next(model.rollout_buffer.get(None))
    advantage = samples.advantages - samples.advantages.mean()
    surrogate = Surrogate(model.policy, samples, objective=advantage, constraint=2.0 * advantage)
    old = surrogate()
    assert old.divergence.item() == 0.0
    assert old.constraint.item() == pytest.approx(2.0 * old.objective.item())
    ratio = np.exp(
        model.policy.target_log_probabilities(samples.observations, samples.action_masks)
        .gather(1, samples.actions.long())
        .flatten()
        .detach()
        .numpy()
        - samples.old_log_prob.numpy()
    )
    clipped = np.minimum(1.0, ratio)
    expected = (clipped * advantage.numpy()).mean() / clipped.mean()
    assert old.objective.item() == pytest.approx(expected, rel=1e-4)

    parameters = [model.policy.action_net.weight, model.policy.action_net.bias]
    (weight, bias) = th.autograd.grad(old.objective, parameters)
    gradient = th.cat([weight.flatten(), bias])
    search = {"radius": 0.01, "must_improve": True, "shrink": 0.5, "trials": 30}
    before = [parameter.detach().clone() for parameter in parameters]
    assert line_search(surrogate, parameters, gradient, slack=0.0, **search) is None, "the constraint would rise"
    assert all(bool((a == b).all()) for a, b in zip(before, parameters, strict=True))
    divergence = line_search(surrogate, parameters, gradient, slack=math.inf, **search)
    assert divergence is not None
    assert 0.0 < divergence <= 0.01
    assert surrogate().objective.item() > old.objective.item()
