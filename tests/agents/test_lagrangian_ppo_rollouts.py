"""What LagrangianPPO puts into its buffer: costs, advantages against a slow reference, bootstrapping, episode sums."""

from __future__ import annotations

import gymnasium
import numpy as np
import pytest
import torch as th
from cmdp_toys import IdentityEnv, TwoStateEnv, TwoStateVecEnv
from gymnasium import spaces
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.vec_env import DummyVecEnv, VecMonitor, VecNormalize

from gym_stepwise_routing.agents.common.advantage import generalised_advantages
from gym_stepwise_routing.agents.common.buffers import CostRolloutBuffer
from gym_stepwise_routing.agents.common.cost_signal import EpisodeTotals, step_costs
from gym_stepwise_routing.agents.lagrangian_ppo import LagrangianPPO

SMALL = {"policy_kwargs": {"net_arch": [8]}, "seed": 0}


def slow_advantages(signal, values, starts, last_values, last_dones, gamma, gae_lambda):
    """Sum (gamma * lambda)^l delta_{t+l} up to the end of each episode, one environment and step at a time."""
    length, n_envs = values.shape
    advantages = np.zeros_like(values, dtype=np.float64)
    for env in range(n_envs):
        for start in range(length):
            weight = 1.0
            for t in range(start, length):
                ended = bool(starts[t + 1, env]) if t + 1 < length else bool(last_dones[env])
                following = values[t + 1, env] if t + 1 < length else last_values[env]
                delta = signal[t, env] + (0.0 if ended else gamma * following) - values[t, env]
                advantages[start, env] += weight * delta
                weight *= gamma * gae_lambda
                if ended:
                    break
    return advantages


@pytest.mark.parametrize(("gamma", "gae_lambda"), [(1.0, 1.0), (0.99, 0.95), (0.9, 0.0), (1.0, 0.7)])
def test_advantages_match_a_slow_reference(gamma: float, gae_lambda: float) -> None:
    rng = np.random.default_rng(0)
    signal, values = rng.normal(size=(2, 12, 5)).astype(np.float32)
    starts = (rng.random((12, 5)) < 0.3).astype(np.float32)
    last_values, last_dones = rng.normal(size=5).astype(np.float32), rng.random(5) < 0.5
    fast = generalised_advantages(signal, values, starts, last_values, last_dones, gamma=gamma, gae_lambda=gae_lambda)
    slow = slow_advantages(signal, values, starts, last_values, last_dones, gamma, gae_lambda)
    np.testing.assert_allclose(fast, slow, rtol=1e-4, atol=1e-5)


def test_buffer_keeps_reward_and_cost_apart() -> None:
    rng = np.random.default_rng(1)
    box, discrete = spaces.Box(0, 1, (2,), np.float32), spaces.Discrete(2)
    buffer = CostRolloutBuffer(
        6, box, discrete, "cpu", gae_lambda=0.95, gamma=0.9, n_envs=3, cost_gae_lambda=0.5, cost_gamma=0.8
    )
    rewards, costs, values, cost_values = rng.normal(size=(4, 6, 3)).astype(np.float32)
    starts = (rng.random((6, 3)) < 0.3).astype(np.float32)
    for t in range(6):
        buffer.add(
            np.stack([np.full(3, t), np.arange(3)], axis=1).astype(np.float32),
            np.arange(3) % 2,
            rewards[t],
            starts[t],
            th.as_tensor(values[t]),
            th.zeros(3),
            action_masks=np.tile([True, t % 2 == 0], (3, 1)),
            costs=costs[t],
            cost_values=th.as_tensor(cost_values[t]),
        )
    last, dones = rng.normal(size=(2, 3)).astype(np.float32), np.array([True, False, False])
    buffer.compute_returns_and_advantage(th.as_tensor(last[0]), dones)
    buffer.compute_cost_returns_and_advantage(th.as_tensor(last[1]), dones)
    reference = slow_advantages(rewards, values, starts, last[0], dones, 0.9, 0.95)
    cost_reference = slow_advantages(costs, cost_values, starts, last[1], dones, 0.8, 0.5)
    np.testing.assert_allclose(buffer.advantages, reference, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(buffer.cost_advantages, cost_reference, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(buffer.cost_returns, cost_reference + cost_values, rtol=1e-4, atol=1e-5)

    # Flattening and shuffling must keep what belongs to one step together; the observation says which step it is.
    seen = 0
    for batch in buffer.get(batch_size=4):
        steps, envs = batch.observations.numpy().astype(int).T
        np.testing.assert_allclose(batch.advantages, reference[steps, envs], rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(batch.cost_advantages, cost_reference[steps, envs], rtol=1e-4, atol=1e-5)
        np.testing.assert_array_equal(batch.old_cost_values, cost_values[steps, envs])
        np.testing.assert_array_equal(batch.action_masks[:, 1], steps % 2 == 0)
        seen += len(steps)
    assert seen == 18


def test_truncation_bootstraps_both_critics() -> None:
    """An endless task cut at one step: the stored signals are signal + gamma * critic(last observation)."""
    env = DummyVecEnv([lambda: gymnasium.wrappers.TimeLimit(IdentityEnv(ends=False), 1)])
    model = LagrangianPPO("MlpPolicy", env, limit=1.0, gamma=0.9, cost_gamma=0.8, n_steps=4, **SMALL)

    class Spy(BaseCallback):
        def __init__(self) -> None:
            super().__init__()
            self.expected: list[tuple[float, float]] = []

        def _on_step(self) -> bool:
            local = self.locals
            assert local["infos"][0]["TimeLimit.truncated"]
            last = th.as_tensor(local["infos"][0]["terminal_observation"])[None]
            with th.no_grad():
                value, cost_value = self.model.policy.predict_both_values(last)  # type: ignore[operator]
            self.expected.append(
                (local["rewards"][0] + 0.9 * value.item(), local["costs"][0] + 0.8 * cost_value.item())
            )
            return True

    spy = Spy()
    _, callback = model._setup_learn(4, spy)
    callback.on_training_start({}, {})
    model.use_masking = False
    model.collect_rollouts(model.env, callback, model.rollout_buffer, 4)
    stored = np.stack([model.rollout_buffer.rewards[:, 0], model.rollout_buffer.costs[:, 0]], axis=1)
    np.testing.assert_allclose(stored, spy.expected, rtol=1e-5)
    assert np.abs(stored - np.round(stored, 1)).max() > 1e-3, "the critics' values must show"


def test_termination_does_not_bootstrap() -> None:
    model = LagrangianPPO("MlpPolicy", TwoStateVecEnv(4), limit=1.0, n_steps=8, **SMALL).learn(32)
    assert set(np.unique(model.rollout_buffer.costs)) <= {0.0, 0.5}
    assert set(np.unique(model.rollout_buffer.rewards)) <= {0.0, 1.0}


def test_vectorised_costs_equal_those_of_infos() -> None:
    env = DummyVecEnv([TwoStateEnv])
    env.reset()
    _, _, _, infos = env.step(np.array([1]))
    assert step_costs(env, infos) == np.float32([0.5])
    fast = VecMonitor(TwoStateVecEnv(3))
    fast.reset()
    _, _, _, infos = fast.step(np.array([1, 0, 1]))
    np.testing.assert_array_equal(step_costs(fast, infos), np.float32([0.5, 0.0, 0.5]))


def test_missing_cost_is_a_clear_error() -> None:
    env = DummyVecEnv([lambda: TwoStateEnv(key="price")])
    model = LagrangianPPO("MlpPolicy", env, limit=1.0, **SMALL)
    with pytest.raises(ValueError, match=r"environment 0 returned no info\['cost'\].*found keys: .*price"):
        model.learn(16)


def test_cost_that_is_not_finite_is_refused() -> None:
    env = TwoStateVecEnv(2)
    env.last_costs = np.array([0.0, np.nan], dtype=np.float32)
    with pytest.raises(ValueError, match="must be finite, got nan"):
        step_costs(env, [{}, {}])


def test_episode_totals_per_environment() -> None:
    totals = EpisodeTotals(2)
    assert totals.add(np.array([1.0, 2.0]), np.array([0.0, 1.0]), np.array([False, True])).tolist() == [[2.0], [1.0]]
    assert totals.add(np.array([4.0, 8.0]), np.array([1.0, 0.0]), np.array([True, False])).tolist() == [[5.0], [1.0]]
    costs, rewards = totals.drain()
    assert costs.tolist() == [2.0, 5.0]
    assert rewards.tolist() == [1.0, 1.0]
    assert [len(part) for part in totals.drain()] == [0, 0]
    assert totals.add(np.zeros(2), np.zeros(2), np.array([False, True])).tolist() == [[8.0], [0.0]]


def test_constraint_is_on_raw_rewards_under_reward_normalisation() -> None:
    env = VecNormalize(TwoStateVecEnv(8), norm_obs=False, norm_reward=True)
    model = LagrangianPPO("MlpPolicy", env, limit=0.5, constraint="accuracy_floor", n_steps=8, **SMALL)
    seen: list[np.ndarray] = []
    drain = EpisodeTotals.drain

    def spying_drain(self: EpisodeTotals) -> tuple[np.ndarray, np.ndarray]:
        seen.append(drain(self)[1])
        return np.empty(0), np.empty(0)

    EpisodeTotals.drain = spying_drain  # type: ignore[method-assign]
    try:
        model.learn(64)
    finally:
        EpisodeTotals.drain = drain  # type: ignore[method-assign]
    assert len(seen[0]) > 0
    assert set(np.unique(seen[0])) <= {0.0, 1.0}
