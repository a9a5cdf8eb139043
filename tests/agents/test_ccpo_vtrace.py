"""V-trace against a slow reference and its special cases."""

from __future__ import annotations

import numpy as np
import pytest

from gym_stepwise_routing.agents.ccpo.vtrace import vtrace
from gym_stepwise_routing.agents.common.advantage import generalised_advantages


def rollout(seed: int, length: int = 10, n_envs: int = 4) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    signal, values = rng.normal(size=(2, length, n_envs)).astype(np.float32)
    return {
        "signal": signal,
        "values": values,
        "ratios": rng.lognormal(sigma=1.0, size=(length, n_envs)).astype(np.float32),
        "episode_starts": (rng.random((length, n_envs)) < 0.3).astype(np.float32),
        "last_values": rng.normal(size=n_envs).astype(np.float32),
        "last_dones": rng.random(n_envs) < 0.5,
    }


def slow_vtrace(data: dict[str, np.ndarray], gamma: float, decay: float) -> tuple[np.ndarray, np.ndarray]:
    """Sum equation (1) of Espeholt et al. 2018 term by term up to the end of each episode."""
    signal, values, ratios = data["signal"], data["values"], np.minimum(data["ratios"], 1.0)
    length, n_envs = values.shape
    targets, advantages = np.zeros((2, length, n_envs))

    def ended(t: int, env: int) -> bool:
        return bool(data["episode_starts"][t + 1, env]) if t + 1 < length else bool(data["last_dones"][env])

    def after(array: np.ndarray, t: int, env: int) -> float:
        if ended(t, env):
            return 0.0
        return float(array[t + 1, env]) if t + 1 < length else float(data["last_values"][env])

    for env in range(n_envs):
        for start in range(length):
            total, weight = float(values[start, env]), 1.0
            for t in range(start, length):
                rho = float(ratios[t, env])
                total += weight * rho * (signal[t, env] + gamma * after(values, t, env) - values[t, env])
                weight *= gamma * decay * rho
                if ended(t, env):
                    break
            targets[start, env] = total
        for t in range(length):
            advantages[t, env] = signal[t, env] + gamma * after(targets, t, env) - values[t, env]
    return targets, advantages


@pytest.mark.parametrize(("gamma", "decay"), [(1.0, 1.0), (0.95, 1.0), (0.9, 0.7), (1.0, 0.0)])
@pytest.mark.parametrize("seed", [0, 1])
def test_matches_a_slow_reference(seed: int, gamma: float, decay: float) -> None:
    data = rollout(seed)
    targets, advantages = vtrace(**data, gamma=gamma, trace_decay=decay)
    slow_targets, slow_advantages = slow_vtrace(data, gamma, decay)
    np.testing.assert_allclose(targets, slow_targets, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(advantages, slow_advantages, rtol=1e-4, atol=1e-5)


def test_on_policy_targets_are_lambda_returns() -> None:
    data = rollout(2)
    data["ratios"] = np.ones_like(data["ratios"])
    targets, _ = vtrace(**data, gamma=0.9, trace_decay=0.8)
    del data["ratios"]
    expected = generalised_advantages(**data, gamma=0.9, gae_lambda=0.8) + data["values"]
    np.testing.assert_allclose(targets, expected, rtol=1e-4, atol=1e-5)


def test_impossible_actions_teach_nothing() -> None:
    data = rollout(3)
    data["ratios"] = np.zeros_like(data["ratios"])
    np.testing.assert_array_equal(vtrace(**data, gamma=1.0)[0], data["values"])


def test_fixed_point_is_the_policy_between_the_two() -> None:
    """One step, two actions, acting half and half; V-trace's value is that of min(acting, target), renormalised."""
    acting, target = np.array([0.5, 0.5]), np.array([0.2, 0.8])
    rewards = np.array([0.0, 1.0], dtype=np.float32)
    between = np.minimum(acting, target)
    value = float(between @ rewards / between.sum())
    ones, zeros = np.ones((1, 2), np.float32), np.zeros(2, np.float32)
    targets, _ = vtrace(
        rewards[None],
        value * ones,
        (target / acting)[None].astype(np.float32),
        ones,
        zeros,
        np.ones(2, bool),
        gamma=1.0,
    )
    assert float(acting @ targets[0]) == pytest.approx(value)
