"""LagrangianPPO reaches optima that are known in closed form, in both directions."""

from __future__ import annotations

import numpy as np
import pytest
from cmdp_toys import IdentityEnv, TwoStateEnv, TwoStateVecEnv, cheapest, optimum
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.evaluation import evaluate_policy

from gym_stepwise_routing.agents.lagrangian_ppo import LagrangianPPO

PROBABILITY_GAP = 0.1
VALUE_GAP = 0.05
STATES = np.eye(2, dtype=np.float32)


def train(limit: float, constraint: str = "cost_limit") -> tuple[np.ndarray, float, float]:
    """Train on the two-state problem; return P(action 1) per state and the exact accuracy and cost it implies."""
    model = LagrangianPPO(
        "MlpPolicy",
        TwoStateVecEnv(256),
        limit=limit,
        constraint=constraint,  # type: ignore[arg-type]
        n_steps=8,
        learning_rate=lambda progress: 1e-2 * progress,
        policy_kwargs={"net_arch": [16]},
        seed=0,
    ).learn(150_000)
    probabilities = model.scores(STATES)[:, 0]
    accuracy = TwoStateEnv.BASE + probabilities @ np.array(TwoStateEnv.GAIN)
    return probabilities, float(accuracy), float(probabilities @ np.array(TwoStateEnv.COST))


@pytest.mark.parametrize("limit", [0.25, pytest.param(0.75, marks=pytest.mark.slow)])
def test_reaches_the_stochastic_optimum_under_a_cost_limit(limit: float) -> None:
    best, best_accuracy = optimum(limit)
    probabilities, accuracy, cost = train(limit)
    assert 0.2 < best[0 if limit < 0.5 else 1] < 0.8, "the optimum must be stochastic for the test to mean anything"
    np.testing.assert_allclose(probabilities, best, atol=PROBABILITY_GAP)
    assert accuracy == pytest.approx(best_accuracy, abs=VALUE_GAP)
    assert cost <= limit + VALUE_GAP


def test_reaches_the_cheapest_policy_above_an_accuracy_floor() -> None:
    best, best_cost = cheapest(0.45)
    probabilities, accuracy, cost = train(0.45, "accuracy_floor")
    np.testing.assert_allclose(probabilities, best, atol=PROBABILITY_GAP)
    assert cost == pytest.approx(best_cost, abs=VALUE_GAP)
    assert accuracy >= 0.45 - VALUE_GAP


def test_solves_the_identity_task_when_nothing_binds() -> None:
    env = make_vec_env(IdentityEnv, n_envs=8, seed=0)
    model = LagrangianPPO("MlpPolicy", env, limit=1.0, n_steps=64, batch_size=128, learning_rate=1e-2, seed=0)
    model.learn(8_000, use_masking=False)
    assert evaluate_policy(model, env, n_eval_episodes=20)[0] >= 0.95


def test_gives_up_the_dear_digit_when_the_limit_is_zero() -> None:
    env = make_vec_env(IdentityEnv, n_envs=8, seed=0)
    model = LagrangianPPO("MlpPolicy", env, limit=0.0, n_steps=64, batch_size=128, learning_rate=1e-2, seed=0)
    model.learn(12_000, use_masking=False)
    probabilities = model.policy.action_probabilities(np.eye(3, dtype=np.float32))
    assert probabilities[:2, :2].diagonal().min() > 0.9
    assert probabilities[:, 2].max() < 0.05
